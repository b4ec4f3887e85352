"""A whole training run of attention and comparator in one folder.

The folder gets `pack-…/` (the features of one network; used as they are where they are there),
`last.pt` (to resume), `validation.json`, `loss.png` and `export/` (`comparator.safetensors` and its
card, to be put beside the weights whose features it reads).
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubl.assembly import feature_spec, weights_folder
from dubl.errors import ConfigurationError
from dubl.footage.frames import Frames
from dubl.models.chamfer import chamfer
from dubl.models.checkpoints import ModelCard
from dubl.models.networks import load_network
from dubl.models.visil import Visil, save_comparator
from dubl.models.visil_config import VisilConfig
from dubl.settings import Settings, load_settings
from dubl.training.clips import NO_GUEST, Embed, FeaturePack, build_feature_pack, list_clips
from dubl.training.comparator_trainer import ClipBatches, ComparatorTrainer, Rows
from dubl.training.config import ClipSettings, ComparatorConfig
from dubl.training.datasets import credited
from dubl.training.loop import RunFolder
from dubl.training.validation import Quality, micro_average_precision
from dubl.training.workers import Workers

logger = logging.getLogger(__name__)

BATCH_FRAMES = 32
SHARES = {"whole": 1.0, "half": 0.5}  # of a clip that a validation query shows

Figures = dict[str, dict[str, dict[str, float]]]


class ComparatorRun:
    """Embeds clips, trains on their features, exports the network that did best."""

    def __init__(self, config: ComparatorConfig, folder: Path) -> None:
        torch.set_num_threads(config.run.threads)
        torch.manual_seed(config.run.seed)
        self._config, self._folder = config, folder
        self._settings = load_settings(None, [f"model.weights={config.weights}"], environment={})
        self._workers = Workers.current()
        with self._workers.leader_first():
            self._pack = open_feature_pack(
                config.weights, config.clips, folder, seed=config.run.seed
            )
        self._queries = {
            name: make_clip_queries(self._pack, share=share) for name, share in SHARES.items()
        }
        dims = self._pack.features[0].regions.shape[-1]
        self._trainer = ComparatorTrainer(
            Visil(VisilConfig(dims=dims)), ClipBatches(self._pack, config.run), config.run
        )
        self._run: RunFolder[Figures] = RunFolder(folder, _score, baseline="plain")

    def run(self, *, resume: bool) -> Path:
        """Trains to the end; returns the folder with the comparator and its card."""
        return self._run.train(
            self._trainer,
            resume=resume,
            validate=self._validate,
            start=lambda: self._note("plain", measured(None, self._queries)),
        )

    def _validate(self, network: Visil, step: int) -> None:
        """Measures; exports when nothing before was better."""
        figures = measured(network, self._queries)
        if self._run.is_best(str(step), figures):
            save_comparator(self._folder / "export", network, self._card(step, figures))
        self._note(str(step), figures)

    def _note(self, name: str, figures: Figures) -> None:
        losses = self._trainer.curves("contrast", "hard negative", "self")
        self._run.note(name, figures, losses)
        logger.info("%s: %s", name, {share: part["all"] for share, part in figures.items()})

    def _card(self, step: int, figures: Figures) -> ModelCard:
        trained = (self._pack.items[number] for number in self._pack.select(validation=False))
        return ModelCard(
            name="s2vs-comparator",
            version=f"step-{step}",
            feature=self._feature(),
            training_data=credited(trained, "clips"),
            metrics={"plain": self._run.results["plain"], "trained": figures},
            notes=(
                f"Attention and comparator of S2VS, {step} steps of {self._config.run.clips} "
                "clips. Metrics: edited versions of clips held out from training ask for their "
                "originals; 'plain' is Chamfer similarity of the same features. The step was "
                "chosen on the same clips."
            ),
        )

    def _feature(self) -> dict[str, str | int]:
        """The features that the comparator reads: those of these weights and no others."""
        regions = self._pack.features[0].regions
        return {
            "regions": regions.shape[2],
            "region_dims": regions.shape[3],
            "weights_sha256": feature_spec(self._settings).weights_sha256,
        }


def open_feature_pack(weights: str, clips: ClipSettings, folder: Path, *, seed: int) -> FeaturePack:
    """The pack of these weights in a run's folder, made (or completed) first where it is absent."""
    settings = load_settings(None, [f"model.weights={weights}"], environment={})
    spec = feature_spec(settings)
    place = folder / f"pack-{spec.weights_sha256[:12]}"
    if (place / "items.json").is_file():
        return FeaturePack(place)
    listed = list_clips(clips, size=spec.frame_size, seed=seed)
    return build_feature_pack(listed, frame_embedder(settings), clips, place, seed=seed)


def frame_embedder(settings: Settings) -> Embed:
    """The configured network as a function of frames."""
    network = load_network(weights_folder(settings))

    @torch.inference_mode()
    def embed(frames: Frames) -> NDArray[np.float16]:
        parts = torch.split(torch.from_numpy(frames), BATCH_FRAMES)
        regions: Tensor = torch.cat([network(part).region_features for part in parts])
        return regions.half().numpy()

    return embed


def measured(network: Visil | None, queries: dict[str, ClipQueries]) -> Figures:
    """Quality by share of the clip, and within it over all, by kind of clip and by edit."""
    figures: Figures = {}
    for name, data in queries.items():
        values = scores(network, data)
        parts = {"all": quality(values, data)}
        for labels in (data.kinds, data.edits):
            for label in np.unique(labels):
                parts[str(label)] = quality(values, data, labels == label)
        figures[name] = {part: asdict(result) for part, result in parts.items()}
    return figures


def _score(figures: Figures) -> float:
    return sum(part["all"]["micro_ap"] for part in figures.values())


FRAMES = 16
CHUNK = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipQueries:
    """Queries [M,T,R,D] and references [N,U,R,D]; `right` and `counted`, both [M,N], say which
    pairs are copies and which pairs count; `kinds` and `edits` [M] of the queries."""

    queries: Tensor
    references: Tensor
    right: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    kinds: NDArray[np.str_]
    edits: NDArray[np.str_]


def make_clip_queries(pack: FeaturePack, *, share: float) -> ClipQueries:
    """`share` of each edited clip, from its middle, against whole originals.

    Both sides have 16 rows; a clip that an edit shows as well counts neither way. Raises
    ConfigurationError where nothing is held out.
    """
    numbers = pack.select(validation=True)
    if not len(numbers):
        raise ConfigurationError("no clip is held out: validation needs some")
    queries, right, counted, kinds, edits = [], [], [], [], []
    for number in numbers:
        features = pack.features[number]
        for version in range(1, len(features.regions)):
            queries.append(features.regions[version][_rows(features.regions.shape[1], share)])
            right.append(numbers == number)
            guest = features.guests[version]
            counted.append((numbers != guest) | (guest == NO_GUEST))
            kinds.append(pack.items[number].kind)
            edits.append(pack.items[number].edits[version])
    originals = [pack.features[number].regions[0] for number in numbers]
    references = [original[_rows(len(original), 1.0)] for original in originals]
    return ClipQueries(
        queries=torch.from_numpy(np.stack(queries)).float(),
        references=torch.from_numpy(np.stack(references)).float(),
        right=np.stack(right),
        counted=np.stack(counted),
        kinds=np.array(kinds),
        edits=np.array(edits),
    )


@torch.no_grad()
def scores(network: Visil | None, data: ClipQueries) -> NDArray[np.float32]:
    """Similarity [M,N], the larger of both directions; without a network, plain Chamfer."""
    model = network or Visil(
        VisilConfig(dims=data.queries.shape[-1], attention="none", symmetric=True)
    )
    model.eval()
    references, rows = model.index_video(data.references), []
    for part in torch.split(data.queries, CHUNK):
        queries = model.index_video(part)
        if network is None:
            frames = model.frame_similarity(queries, references)
            rows.append(torch.maximum(chamfer(frames), chamfer(frames.mT)).view(len(part), -1))
        else:
            forwards = network.similarity(queries, references)
            rows.append(torch.maximum(forwards, network.similarity(references, queries).T))
    values: NDArray[np.float32] = torch.cat(rows).numpy()
    return values


def quality(
    values: NDArray[np.float32], data: ClipQueries, chosen: NDArray[np.bool_] | None = None
) -> Quality:
    """Micro-AP and recall at precision 1 over the pairs of all queries, or of those `chosen`."""
    rows = np.ones(len(values), dtype=np.bool_) if chosen is None else chosen
    counted = data.counted[rows]
    right = data.right[rows][counted]
    return micro_average_precision(values[rows][counted], right, int(right.sum()))


def _rows(length: int, share: float) -> Rows:
    """16 rows spread over the middle `share` of a clip."""
    kept = length * share
    first = (length - kept) / 2
    return np.floor(first + (np.arange(FRAMES) + 0.5) * kept / FRAMES).astype(np.int64)
