"""Published weights of the ViSiL family, which a user may fetch: none is shipped.

Their layouts differ: S2VS and DnS keep the state dict under `model` beside the training arguments,
ViSiL is a bare state dict with `video_comperator` for the comparator.
"""

from __future__ import annotations

import argparse
import io
import logging
import pickle
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx
import torch
from torch import Tensor

from dubl.errors import WeightsUnavailable
from dubl.models.checkpoints import require_tensors
from dubl.models.limac import FrameNormalizer, LimacExtractor, PCAWhitening
from dubl.models.visil import Visil, VisilConfig

LIMIT_BYTES = 64 * 1024**2
TIMEOUT_S = 30.0
RENAMED = {"video_comperator.": "visil_head.", "visil_head.video_comperator.": "visil_head."}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Weights that their authors publish, and how to build the network for them."""

    name: str
    url: str
    config: VisilConfig
    license: str
    training_data: str

    @property
    def file_name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


_S2VS = "https://mever.iti.gr/s2vs/weights"
_DNS = "https://mever.iti.gr/distill-and-select/models"
_VISIL = "http://ndd.iti.gr/visil"

_TABLE = (
    Preset(
        name="s2vs_dns",
        url=f"{_S2VS}/s2vs_dns.pth",
        config=VisilConfig(),
        license="MIT",
        training_data="DnS-100K, without labels",
    ),
    Preset(
        name="s2vs_vcdb",
        url=f"{_S2VS}/s2vs_vcdb.pth",
        config=VisilConfig(),
        license="MIT",
        training_data="distractors of VCDB, without labels",
    ),
    Preset(
        name="visil",
        url=f"{_VISIL}/visil.pth",
        config=VisilConfig(dims=3840, attention="unit", padding="replicate"),
        license="Apache-2.0",
        training_data="VCDB",
    ),
    Preset(
        name="visil_symmetric",
        url=f"{_VISIL}/visil_symmetric.pth",
        config=VisilConfig(dims=512, attention="unit", padding="replicate", symmetric=True),
        license="Apache-2.0",
        training_data="VCDB",
    ),
    Preset(
        name="dns_fg_att_student",
        url=f"{_DNS}/dns_fg_att_student.pth",
        config=VisilConfig(),
        license="Apache-2.0",
        training_data="DnS-100K, distilled from ViSiL",
    ),
    Preset(
        name="dns_fg_bin_student",
        url=f"{_DNS}/dns_fg_bin_student.pth",
        config=VisilConfig(attention="none", bits=512),
        license="Apache-2.0",
        training_data="DnS-100K, distilled from ViSiL",
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _TABLE})


def find_preset(name: str) -> Preset:
    """Raises WeightsUnavailable with the known names."""
    if name not in PRESETS:
        raise WeightsUnavailable(f"no published weights are called {name!r}: {', '.join(PRESETS)}")
    return PRESETS[name]


def load_preset(name: str, path: Path) -> Visil:
    """The network of preset `name` with the weights in file `path`, ready for inference."""
    network = Visil(find_preset(name).config)
    try:
        network.load_state_dict(read_published(path))
    except RuntimeError as exc:
        raise WeightsUnavailable(f"{path} does not hold the weights of {name}: {exc}") from exc
    return network.eval()


def load_limac(path: Path) -> LimacExtractor:
    """The region extractor from one file, in the layout of S2VS or of ViSiL and DnS."""
    state = {_limac_key(key): value for key, value in read_published(path).items()}
    kept = {key: value for key, value in state.items() if ".fc." not in key}
    return _extractor(kept, path)


def build_limac(resnet: Path, whitening: Path, *, components: int = 512) -> LimacExtractor:
    """The region extractor from torchvision's resnet50 file (IMAGENET1K_V1) and the PCA file."""
    pca = read_published(whitening)
    if not {"mean", "d", "V"} <= pca.keys():
        raise WeightsUnavailable(f"{whitening} holds no PCA: mean, d and V are expected")
    fitted = PCAWhitening.from_decomposition(pca["mean"], pca["d"], pca["V"], components=components)
    state = {f"0.{key}": value for key, value in FrameNormalizer().state_dict().items()}
    state |= {
        f"1.0.cnn.{key}": value
        for key, value in read_published(resnet).items()
        if not key.startswith("fc.")
    }
    return _extractor(state | {"1.1.mean": fitted.mean, "1.1.DVt": fitted.DVt}, resnet)


def read_published(path: Path) -> dict[str, Tensor]:
    """State dict in an authors' file, with this project's key names.

    Only tensors, plain values and argparse.Namespace (the training arguments) are unpickled.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            loaded: object = torch.load(
                io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True
            )
    except OSError as exc:
        raise WeightsUnavailable(f"{path} cannot be read: {exc}") from exc
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as exc:
        raise WeightsUnavailable(f"{path} does not hold weights: {exc}") from exc
    if isinstance(loaded, dict) and "model" in loaded:
        loaded = loaded["model"]
    state = require_tensors(loaded, name=str(path))
    return {_renamed(key.removeprefix("module.")): value for key, value in state.items()}


def fetch(
    name: str,
    folder: Path,
    *,
    client: httpx.Client | None = None,
    limit_bytes: int = LIMIT_BYTES,
) -> Path:
    """Downloads the weights of preset `name` into `folder`; returns the file.

    The file appears only when it is complete and loads. A given `client` is closed afterwards.
    Raises WeightsUnavailable.
    """
    preset = find_preset(name)
    target = folder / preset.file_name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            partial = Path(scratch) / preset.file_name
            with client or httpx.Client(follow_redirects=True, timeout=TIMEOUT_S) as session:
                _download(session, preset.url, partial, limit_bytes)
            load_preset(name, partial)
            partial.replace(target)
    except httpx.HTTPError as exc:
        raise WeightsUnavailable(
            f"{preset.url} cannot be fetched ({exc!r}): try again later, or download it elsewhere "
            f"and put it at {target}"
        ) from exc
    except OSError as exc:
        raise WeightsUnavailable(f"{target} cannot be written: {exc}") from exc
    logger.info("fetched %s into %s", preset.url, target)
    return target


def _download(session: httpx.Client, url: str, path: Path, limit_bytes: int) -> None:
    with session.stream("GET", url) as response, path.open("wb") as file:
        response.raise_for_status()
        size_bytes = 0
        for chunk in response.iter_bytes():
            size_bytes += len(chunk)
            if size_bytes > limit_bytes:
                raise WeightsUnavailable(f"{url} has more than {limit_bytes} bytes")
            file.write(chunk)


def _extractor(state: dict[str, Tensor], path: Path) -> LimacExtractor:
    components = state["1.1.DVt"].shape[1] if "1.1.DVt" in state else 512
    with torch.device("meta"):  # no random weights that are replaced at once
        extractor = LimacExtractor(components=components)
    if "1.1.mean" in state:
        state = state | {"1.1.mean": state["1.1.mean"].reshape(-1)}
    try:
        extractor.load_state_dict(state, assign=True)
    except RuntimeError as exc:
        raise WeightsUnavailable(f"{path} does not hold a region extractor: {exc}") from exc
    return extractor.eval()


def _limac_key(key: str) -> str:
    for theirs, ours in (("normalizer.", "0."), ("cnn.", "1.0.cnn."), ("pca.", "1.1.")):
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    return key


def _renamed(key: str) -> str:
    for theirs, ours in RENAMED.items():
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    return key
