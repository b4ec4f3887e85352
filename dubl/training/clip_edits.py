"""Edited versions of a whole clip: one edit for all its frames, as an editor makes it.

Training edits are those of the descriptor (dubl.training.augmentations), drawn once a clip, with
overlays that change from frame to frame in some (S2VS, section 3.2: global and frame
transformations, video in video). Held-out clips are edited by dubl.training.attacks instead.
Changes of time are made on features, later: dubl.training.clip_batches.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Generator, Tensor

from dubl.training.attacks import ATTACKS
from dubl.training.augmentations import (
    WEAK_WARP,
    StrongRanges,
    edit_picture,
    to_frames,
    to_planes,
)
from dubl.training.geometry import WarpRanges, random_warp
from dubl.training.overlays import Atlas, add_sticker, add_text
from dubl.training.photometric import degrade

Frames = NDArray[np.uint8]
FLICKER = 0.25  # share of the edited clips whose overlays change with every frame
FLICKERING_FRAMES = 0.3


def original(frames: Frames, seed: int) -> Frames:
    """As a library has it: hardly cropped, hardly compressed."""
    results = []
    for frame in to_planes(torch.from_numpy(frames)):
        generator = Generator().manual_seed(seed)
        image = random_warp(frame[None], WEAK_WARP, generator, size=frames.shape[1])
        results.append(degrade(image, generator, strength=0.25)[0])
    return to_frames(torch.stack(results)).numpy()


def strong(
    frames: Frames, guest: Frames, ranges: StrongRanges, atlas: Atlas, seed: int
) -> tuple[Frames, bool]:
    """The clip edited heavily, and whether the guest's frames show in it as well."""
    size = frames.shape[1]
    warp = WarpRanges(min_area=1.0 - (1.0 - ranges.min_area) * ranges.strength, quarter_turn=0.05)
    flickers = np.random.default_rng(seed).random() < FLICKER
    edited, has_guest = [], False
    for index, frame in enumerate(to_planes(torch.from_numpy(frames))):
        generator = Generator().manual_seed(seed)
        image = random_warp(frame[None], warp, generator, size=size)[0]
        other = to_planes(torch.from_numpy(guest[index % len(guest)][None]))
        other = random_warp(other, WEAK_WARP, generator, size=size)[0]
        image, has_guest = edit_picture(image, other, ranges, atlas, generator)
        image = degrade(image[None], generator, strength=ranges.strength)[0]
        if flickers:
            image = _flicker(image, atlas, Generator().manual_seed(seed + index))
        edited.append(image)
    return to_frames(torch.stack(edited)).numpy(), has_guest


def attacked(frames: Frames, guest: Frames, name: str, seed: int) -> Frames:
    """The clip under the named attack of dubl.training.attacks, one draw for all frames."""
    pictures = [
        ATTACKS[name](
            Image.fromarray(frame),
            Image.fromarray(guest[index % len(guest)]),
            np.random.default_rng(seed),
        )
        for index, frame in enumerate(frames)
    ]
    return np.stack([np.asarray(picture, dtype=np.uint8) for picture in pictures])


def _flicker(image: Tensor, atlas: Atlas, generator: Generator) -> Tensor:
    """Text and stickers on some frames only."""
    draws = torch.rand(2, generator=generator)
    if draws[0] < FLICKERING_FRAMES:
        image = add_text(image, atlas, generator)
    if draws[1] < FLICKERING_FRAMES:
        image = add_sticker(image, atlas, generator)
    return image
