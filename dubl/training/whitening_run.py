"""Fits the whitening of a user's own ResNet50 to training clips and writes a model's folder.

Every backbone needs its own whitening; the published one does not fit other weights.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from dubl.models.checkpoints import ModelCard
from dubl.models.limac import FRAME_SIZE, FrameNormalizer, ResnetRegions, fit_whitening, save_limac
from dubl.models.published import build_extractor, load_resnet
from dubl.training.clips import Clip, list_clips
from dubl.training.config import ComparatorConfig
from dubl.training.datasets import credited

logger = logging.getLogger(__name__)

BATCH_FRAMES = 16
COMPONENTS = 512


def fit_own_whitening(
    backbone: Path,
    config: ComparatorConfig,
    folder: Path,
    *,
    components: int = COMPONENTS,
) -> Path:
    """Fits on the configuration's training clips; `folder` becomes a model's folder.

    It has no comparator: similarity is then plain Chamfer similarity, until pipelines.train makes
    one for it. Raises WeightsUnavailable for a file that is no ResNet50, FeatureSpaceMismatch when
    the clips have fewer regions than components.
    """
    torch.set_num_threads(config.run.threads)
    regions = load_resnet(backbone)
    listed = list_clips(config.clips, size=FRAME_SIZE, seed=config.run.seed)
    clips = [clip for clip in listed if not clip.validation]
    whitening = fit_whitening(_region_batches(regions, clips), components=components)
    card = ModelCard(
        name="resnet50-limac",
        training_data=(
            {"source": f"the ResNet50 in {backbone.name}", "license": "", "kind": "weights"},
            *credited(clips, "clips"),
        ),
        notes=f"Whitening to {components} components, fitted on {len(clips)} clips.",
    )
    save_limac(folder, build_extractor(regions, whitening), card)
    return folder


@torch.inference_mode()
def _region_batches(regions: ResnetRegions, clips: Sequence[Clip]) -> Iterator[Tensor]:
    """Region vectors [n,9,3840], read once."""
    normalize = FrameNormalizer()
    for count, clip in enumerate(clips, 1):
        for part in torch.split(torch.from_numpy(clip.read()), BATCH_FRAMES):
            yield regions(normalize(part))
        if count % 20 == 0:
            logger.info("regions of %d of %d clips", count, len(clips))
