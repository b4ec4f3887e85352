"""Reads the files that authors publish, and makes a model's folder of them.

Their layouts differ: S2VS and DnS keep the state dict under `model` beside the training arguments,
ViSiL is a bare state dict with `video_comperator` for the comparator, SSCD one of a frame network.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from dubl.errors import FeatureSpaceMismatch, WeightsUnavailable
from dubl.models.checkpoints import ModelCard, read_torch_file, require_tensors
from dubl.models.limac import (
    REGION_CHANNELS,
    FrameNormalizer,
    LimacExtractor,
    PCAWhitening,
    ResnetRegions,
    save_limac,
)
from dubl.models.presets import RESNET50, WHITENING, Preset, PublishedFile
from dubl.models.sscd import SscdNetwork, filled, save_sscd
from dubl.models.visil import Visil, save_comparator
from dubl.models.visil_config import VisilConfig

RENAMED = {"video_comperator.": "visil_head.", "visil_head.video_comperator.": "visil_head."}


def read_published(path: Path) -> dict[str, Tensor]:
    """State dict in an authors' file, with this project's key names.

    Only tensors, plain values and argparse.Namespace (the training arguments) are unpickled.
    """
    with torch.serialization.safe_globals([argparse.Namespace]):
        loaded = read_torch_file(path)
    if isinstance(loaded, dict) and "model" in loaded:
        loaded = loaded["model"]
    state = require_tensors(loaded, name=str(path))
    return {_renamed(key.removeprefix("module.")): value for key, value in state.items()}


def load_preset(name: str, config: VisilConfig, path: Path) -> Visil:
    """The preset's comparator with the weights in the file `path`, ready for inference."""
    network = Visil(config)
    try:
        network.load_state_dict(read_published(path))
    except RuntimeError as exc:
        raise WeightsUnavailable(f"{path} does not hold the weights of {name}: {exc}") from exc
    return network.eval()


def load_resnet(path: Path) -> ResnetRegions:
    """ResNet50 from a file in torchvision's layout: plain regions of frames."""
    with torch.device("meta"):  # no random weights that are replaced at once
        network = ResnetRegions()
    state = read_published(path)
    kept = {key: value for key, value in state.items() if not key.startswith("fc.")}
    try:
        network.cnn.load_state_dict(kept, assign=True)
    except RuntimeError as exc:
        raise WeightsUnavailable(f"{path} does not hold a ResNet50: {exc}") from exc
    return network.eval()


def load_whitening(path: Path, *, components: int) -> PCAWhitening:
    """The whitening in a file with `mean`, `d` (eigenvalues) and `V` (eigenvectors)."""
    pca = read_published(path)
    try:
        whitening = PCAWhitening.from_decomposition(
            pca["mean"], pca["d"], pca["V"], components=components
        )
    except KeyError as exc:
        raise WeightsUnavailable(f"{path} does not hold a PCA with mean, d and V") from exc
    except FeatureSpaceMismatch as exc:
        raise WeightsUnavailable(f"{path}: {exc.detail}") from exc
    if whitening.DVt.shape[0] != REGION_CHANNELS:
        raise WeightsUnavailable(f"{path} does not fit regions of {REGION_CHANNELS} dimensions")
    return whitening


def build_extractor(regions: ResnetRegions, whitening: PCAWhitening | None) -> LimacExtractor:
    """The region extractor of both parts."""
    components = REGION_CHANNELS if whitening is None else whitening.DVt.shape[1]
    parts: dict[str, nn.Module] = {"0.": FrameNormalizer(), "1.0.": regions}
    if whitening is not None:
        parts["1.1."] = whitening
    state = {
        prefix + key: value
        for prefix, part in parts.items()
        for key, value in part.state_dict().items()
    }
    with torch.device("meta"):
        extractor = LimacExtractor(components=components)
    extractor.load_state_dict(state, assign=True)
    return extractor.eval()


def build_model(preset: Preset, files: Path, folder: Path) -> None:
    """Makes a model's folder of the preset's published files, which lie in the folder `files`.

    Raises WeightsUnavailable when one is absent or not what it should be.
    """
    for published in preset.files:
        check_published(published, files / published.name)
    main = files / preset.file.name
    if preset.config is None:
        card = ModelCard(name=preset.name, training_data=(_credit(preset.file),))
        save_sscd(folder, filled(SscdNetwork(), read_published(main), source=main), card)
        return
    network = load_preset(preset.name, preset.config, main)
    whitening = (
        load_whitening(files / WHITENING.name, components=preset.config.dims)
        if preset.whitened
        else None
    )
    extractor = build_extractor(load_resnet(files / RESNET50.name), whitening)
    backbone = tuple(_credit(one) for one in preset.files if one is not preset.file)
    card = save_limac(folder, extractor, ModelCard(name=preset.name, training_data=backbone))
    save_comparator(
        folder,
        network,
        ModelCard(
            name=preset.name,
            feature={"weights_sha256": card.sha256},
            training_data=(_credit(preset.file),),
        ),
    )


def check_published(published: PublishedFile, path: Path) -> None:
    """Raises WeightsUnavailable unless `path` is that file, as far as its publisher says."""
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise WeightsUnavailable(
            f"{path} cannot be read ({exc.strerror}): download it from {published.url}"
        ) from exc
    digest = hashlib.sha256(content).hexdigest()
    if not digest.startswith(published.sha256_start):
        raise WeightsUnavailable(
            f"{path} is not the file at {published.url}: its sha256 is {digest}, which does not "
            f"begin with {published.sha256_start}"
        )


def _credit(published: PublishedFile) -> Mapping[str, str | int]:
    return {
        "source": f"{published.url}: {published.training_data}",
        "license": published.license,
        "kind": "weights",
    }


def _renamed(key: str) -> str:
    for theirs, ours in RENAMED.items():
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    return key
