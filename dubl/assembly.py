"""The only place where steps are built from settings.

Each function imports what its step needs. So a process that only decodes does not load LanceDB,
DuckDB or a network, which take most of a process's memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from dubl.errors import ConfigurationError, WeightsUnavailable, needs_extra
from dubl.ports import Embedder, Reranker, Retriever, SoundAligner, SoundDescriber
from dubl.rights.terms import Modalities, Rights
from dubl.settings import Settings
from dubl.types import FeatureSpec, Sampling, SoundSpec, Space, VideoSource

if TYPE_CHECKING:
    from dubl.index.spaces import SpacedLibrary
    from dubl.index.store import LibraryStore
    from dubl.index.tables import Caches
    from dubl.index.uploads import UploadStore
    from dubl.ledger.ledger import Ledger
    from dubl.ledger.snapshots import Snapshots
    from dubl.matching.calibration import Calibration
    from dubl.matching.explanation import Explainer
    from dubl.matching.verification import Verifier
    from dubl.media.evidence_store import EvidenceStore
    from dubl.media.fingerprints import Fingerprint
    from dubl.media.local_videos import LocalVideos
    from dubl.media.sandbox import SandboxedDecoder
    from dubl.media.spool import Spool
    from dubl.models.embedder import FrameNetwork

SHIPPED_WEIGHTS = Path(__file__).parent / "models" / "weights"


def make_decoder(settings: Settings) -> SandboxedDecoder:
    """A decoder that works in child processes."""
    from dubl.media.sandbox import SandboxedDecoder

    return SandboxedDecoder(settings.media, processes=settings.media.decode_processes)


def make_local_videos(settings: Settings) -> LocalVideos:
    """A decoder and the evidence store, for uploads in any spool."""
    from dubl.media.local_videos import LocalVideos

    return LocalVideos(make_decoder(settings), make_evidence_store(settings), make_spool(settings))


def make_verifier(
    settings: Settings,
    store: EvidenceStore,
    *,
    open_file: Callable[[str], VideoSource],
) -> Verifier | None:
    """The pixel comparison of doubtful matches; None if the model's calibration has no weights for
    it."""
    from dubl.matching.verification import Verifier

    calibration = calibration_of(weights_folder(settings))
    if not calibration.pixels:
        return None
    sure = settings.policy.sure_probability
    return Verifier(store, calibration, sure_probability=sure, open_file=open_file)


def make_embedder(settings: Settings, *, runtime: bool = True) -> Embedder:
    """The configured network: with torch on a GPU if there is one, else with OpenVINO; without a
    `runtime` in numpy, which is slow."""
    from dubl.models.embedder import ClipEmbedder

    network = _make_network(settings) if runtime else _make_numpy_network(settings)
    spec = feature_spec(settings)
    return ClipEmbedder(
        network,
        spec,
        batch_frames=settings.model.batch_frames,
        sound=make_sound_describer(settings),
    )


def make_fingerprint_reader(settings: Settings) -> Callable[..., Fingerprint]:
    """Reads fingerprints in the configured model's space: `read(path, sampling=…)`."""
    from dubl.media.fingerprints import read_fingerprint

    return partial(
        read_fingerprint,
        spec=feature_spec(settings),
        sound=sound_spec(settings),
        settings=settings.media,
    )


def make_sound_describer(settings: Settings) -> SoundDescriber | None:
    """None: sound is not listened to."""
    return _sound_describer() if settings.sound.enabled else None


@cache
def _sound_describer() -> SoundDescriber:
    """The shipped network, once a process: all stores and embedders share it."""
    from dubl.sound.describer import SoundDescriber

    return SoundDescriber()


def make_sound_aligner(settings: Settings) -> SoundAligner | None:
    """None: sounds are not compared."""
    if not settings.sound.enabled:
        return None
    from dubl.sound.alignment import align

    return align


def sound_spec(settings: Settings) -> SoundSpec | None:
    """The space of sounds; None: sound is not listened to."""
    describer = make_sound_describer(settings)
    return None if describer is None else describer.spec


def challenger_settings(settings: Settings) -> Settings:
    """Settings with the candidate model in place of the answering one.

    Raises ConfigurationError if no candidate is set, or its feature space is that of model.weights.
    """
    weights = settings.candidate.weights
    if not weights:
        raise ConfigurationError("candidate.weights is not set")
    model = settings.model.model_copy(update={"weights": weights})
    theirs = settings.model_copy(update={"model": model})
    if feature_spec(theirs) == feature_spec(settings):
        raise ConfigurationError(
            f"candidate.weights '{weights}' must differ from model.weights "
            f"'{settings.model.weights}'"
        )
    return theirs


def space_settings(settings: Settings) -> tuple[Settings, ...]:
    """Settings of each feature space in service, that of model.weights first."""
    if not settings.candidate.weights or settings.is_challenger:
        return (settings,)
    return (settings, challenger_settings(settings))


def make_space(settings: Settings) -> Space:
    return Space(
        id=feature_spec(settings).space_id,
        model_id=model_id(settings),
        query=query_sampling(settings),
        second_pass=second_pass_sampling(settings),
        reference=reference_sampling(settings),
    )


def make_library(settings: Settings) -> SpacedLibrary:
    """The library in all feature spaces, for its writer."""
    from dubl.index.spaces import SpacedLibrary
    from dubl.index.tables import WRITER_CACHES

    spaces = space_settings(settings)
    return SpacedLibrary([make_store(each, caches=WRITER_CACHES) for each in spaces])


def make_store(
    settings: Settings, *, read_only: bool = False, caches: Caches | None = None
) -> LibraryStore:
    """The library in the configured model's feature space.

    Only a candidate may start a space beside another one; else this raises FeatureSpaceMismatch.
    """
    from dubl.index.spaces import library_uri
    from dubl.index.store import LibraryStore
    from dubl.index.tables import SEARCH_CACHES

    spec = feature_spec(settings)
    return LibraryStore(
        library_uri(settings.index_uri, spec, beside=settings.is_challenger),
        spec=spec,
        sound=sound_spec(settings),
        settings=settings.index,
        read_only=read_only,
        caches=caches or SEARCH_CACHES,
    )


def make_uploads(settings: Settings) -> UploadStore | None:
    """The store of uploads' features; None if they are not stored."""
    if not settings.lookback.keep_uploads:
        return None
    from dubl.index.uploads import UploadStore

    spec = feature_spec(settings)
    return UploadStore(
        f"{settings.uploads_uri}/{spec.space_id}",
        spec=spec,
        sound=sound_spec(settings),
        index=settings.index,
        settings=settings.lookback,
    )


def make_retriever(settings: Settings) -> Retriever:
    from dubl.index.retriever import LanceRetriever

    return LanceRetriever(
        make_store(settings, read_only=True),
        settings.index,
        sound=settings.sound,
        negative=settings.matching.negative_libraries,
    )


def make_reranker(settings: Settings) -> Reranker:
    from dubl.matching.calibration import load_background
    from dubl.matching.reranker import ViSiLReranker
    from dubl.models.numpy_comparator import NumpyComparator

    folder = weights_folder(settings)
    calibration = calibration_of(folder)
    return ViSiLReranker(
        make_store(settings, read_only=True),
        NumpyComparator(folder),
        calibration,
        settings.matching,
        load_background(folder, calibration),
        align_sound=make_sound_aligner(settings),
        modalities={name: Modalities(one) for name, one in settings.sound.modalities.items()},
    )


def make_spool(settings: Settings) -> Spool:
    """The spool of uploads, which every replica may read and write."""
    from dubl.media.spool import Spool
    from dubl.objects import ObjectFolder

    remote = ObjectFolder(settings.spool.uri) if settings.spool.uri else None
    return Spool(settings.spool_dir, settings.media.max_size_bytes, remote)


def make_evidence_store(settings: Settings) -> EvidenceStore:
    """The evidence store, which every replica may read and write."""
    from dubl.media.evidence_store import EvidenceStore

    return EvidenceStore(settings.evidence_dir, settings.evidence, spool_dir=settings.spool_dir)


def make_explainer(settings: Settings) -> Explainer:
    """The explainer of checks in all feature spaces in service."""
    from dubl.matching.explanation import Explainer, SpaceReader
    from dubl.models.numpy_comparator import NumpyComparator

    readers = {
        feature_spec(each).space_id: SpaceReader(
            features=make_store(each, read_only=True),
            comparator=NumpyComparator(weights_folder(each)),
        )
        for each in space_settings(settings)
    }
    return Explainer(readers, make_evidence_store(settings))


def make_ledger(settings: Settings) -> Ledger:
    """The ledger, restored from its newest copy if that is newer. Only one per process.

    Raises StoreUnavailable, and StoreHeld while another process holds it.
    """
    from dubl.ledger.ledger import Ledger

    snapshots = make_snapshots(settings)
    if snapshots is not None:
        snapshots.restore(settings.ledger_path)
    return Ledger(settings.ledger_place, flood=settings.flood, settings=settings.ledger)


def make_snapshots(settings: Settings) -> Snapshots | None:
    """Copies of the ledger in an object store; None if no address is set."""
    from dubl.ledger.snapshots import Snapshots
    from dubl.objects import ObjectFolder

    if not settings.ledger.snapshots:
        return None
    return Snapshots(ObjectFolder(settings.ledger.snapshots), keep=settings.ledger.keep_snapshots)


def query_sampling(settings: Settings) -> Sampling:
    sampling = _sampling(settings, settings.media.query_rate_hz)
    return replace(
        sampling,
        views=settings.media.query_views,
        every_stream=True,
        sound_alone=settings.sound.enabled,
    )


def second_pass_sampling(settings: Settings) -> Sampling:
    """The sampling of a second pass, for doubtful queries: all views."""
    return replace(query_sampling(settings), views="all")


def still_sampling(space: Space, at_s: float) -> Sampling:
    """The sampling of one picture at `at_s`, like a reference's frames."""
    return replace(space.reference, still_at_s=at_s, sound=False)


def reference_sampling(settings: Settings) -> Sampling:
    return _sampling(settings, settings.media.reference_rate_hz)


def registered_sampling(
    sampling: Sampling, settings: Settings, *, library: str, rights: Rights
) -> Sampling:
    """The sampling of references, for one with these rights. Where its sound is claimed, a file of
    sound alone is read, too."""
    claimed = rights.modalities or settings.sound.modalities.get(library)
    alone = settings.sound.enabled and claimed in (Modalities.AUDIO, Modalities.BOTH)
    return replace(sampling, sound_alone=alone)


def model_id(settings: Settings) -> str:
    """Name and first 12 digits of the weights, as in verdicts."""
    spec = feature_spec(settings)
    return f"{spec.model_id}@{spec.weights_sha256[:12]}"


def feature_spec(settings: Settings) -> FeatureSpec:
    """The configured model's feature space, from its card."""
    path = weights_folder(settings) / "card.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        values = card["feature"]
        known = {field.name for field in fields(FeatureSpec)}
        return FeatureSpec(
            model_id=card["name"],
            weights_sha256=card["sha256"],
            rate_hz=settings.media.reference_rate_hz,
            **{name: value for name, value in values.items() if name in known},
        )
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise WeightsUnavailable(f"{path} is not a model card: {exc}") from exc


def calibration_of(folder: Path) -> Calibration:
    """The calibration in a model's folder.

    Raises WeightsUnavailable if there is none. Such a model can fill a library but cannot give
    verdicts, as similarities of different networks are not comparable.
    """
    from dubl.matching.calibration import CALIBRATION_FILE, load_calibration

    path = folder / CALIBRATION_FILE
    if not path.exists():
        raise WeightsUnavailable(
            f"the model in {folder} has no calibration. Make an attack suite of your videos "
            "(python -m pipelines.make_attacks), then run "
            f"`python -m pipelines.calibrate SUITE --weights {folder}`."
        )
    return load_calibration(path)


def weights_folder(settings: Settings) -> Path:
    """Folder of the configured weights: a shipped name, or a path."""
    name = settings.model.weights
    for folder in (SHIPPED_WEIGHTS / name, Path(name)):
        if (folder / "card.json").is_file():
            return folder
    shipped = ", ".join(sorted(path.parent.name for path in SHIPPED_WEIGHTS.glob("*/card.json")))
    raise ConfigurationError(
        f"model.weights: '{name}' is neither shipped ({shipped}) nor a folder with a card.json"
    )


def _make_network(settings: Settings) -> FrameNetwork:
    from dubl.models.cards import COMPACT, network_name
    from dubl.models.devices import wants_gpu

    folder, threads = weights_folder(settings), settings.model.threads
    gpu = wants_gpu(settings.model.device)
    if gpu or network_name(folder) != COMPACT:
        with needs_extra():
            import torch

            from dubl.models.networks import load_network
            from dubl.models.torch_network import TorchNetwork

        device = torch.device("cuda" if gpu else "cpu")
        return TorchNetwork(load_network(folder), device=device, half=gpu, threads=threads)
    from dubl.models.openvino_network import OpenVinoNetwork

    frame_size = feature_spec(settings).frame_size
    return OpenVinoNetwork(folder, frame_size=frame_size, threads=threads)


def _make_numpy_network(settings: Settings) -> FrameNetwork:
    """Raises WeightsUnavailable for another network than the compact one."""
    from dubl.models.cards import COMPACT, network_name
    from dubl.models.numpy_network import NumpyNetwork

    folder = weights_folder(settings)
    if network_name(folder) != COMPACT:
        raise WeightsUnavailable(f"the model in {folder} needs 'dubl[serve]'")
    return NumpyNetwork(folder)


def _sampling(settings: Settings, rate_hz: float) -> Sampling:
    spec = feature_spec(settings)
    return Sampling(
        rate_hz=rate_hz,
        min_frames=settings.media.min_frames,
        frame_size=spec.frame_size,
        resize=spec.resize,
        sound=settings.sound.enabled,
    )
