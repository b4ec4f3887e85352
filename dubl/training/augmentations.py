"""The two views of a picture that self-supervised training compares.

The weak view stands for the reference, the strong view for an edited copy, as in SSCD (Pizzi et
al., 2022, section 4.2), with insets, bars and split screens added for video.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from dubl.training.geometry import WarpRanges, random_warp, uniform
from dubl.training.overlays import (
    Atlas,
    add_bars,
    add_sticker,
    add_text,
    inset,
    split_screen,
)
from dubl.training.photometric import degrade

WEAK_WARP = WarpRanges(
    min_area=0.75, max_aspect=1.2, mirror=0.0, quarter_turn=0.0, rotation=0.0, perspective=0.0
)
NO_GUEST = -1  # as dubl.training.contrastive.NOBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class StrongRanges:
    """Probabilities per picture; at most one of the four compositions is drawn."""

    strength: float = 1.0
    min_area: float = 0.3
    text: float = 0.2
    sticker: float = 0.2
    bars: float = 0.15
    inset: float = 0.2
    reaction: float = 0.1
    split: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class StrongViews:
    """Edited pictures uint8 [N, S, S, 3]; `guests` [N]: the picture of the batch that shows in
    view n besides picture n, or -1."""

    frames: Tensor
    guests: Tensor


def to_planes(frames: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] → float [N, 3, H, W] in 0..1."""
    return frames.permute(0, 3, 1, 2).float().contiguous() / 255


def to_frames(planes: Tensor) -> Tensor:
    """Float [N, 3, H, W] in 0..1 → uint8 [N, H, W, 3]."""
    return (planes.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def weak_views(frames: Tensor, generator: Generator, *, size: int) -> Tensor:
    """Slightly cropped, slightly degraded: uint8 [N, H, W, 3] → [N, size, size, 3]."""
    planes = random_warp(to_planes(frames), WEAK_WARP, generator, size=size)
    return to_frames(degrade(planes, generator, strength=0.25))


def strong_views(
    frames: Tensor, ranges: StrongRanges, atlas: Atlas, generator: Generator, *, size: int
) -> StrongViews:
    """Heavily edited: uint8 [N, H, W, 3] → [N, size, size, 3]. `size` is a multiple of 8."""
    warp = WarpRanges(
        min_area=1.0 - (1.0 - ranges.min_area) * ranges.strength,
        quarter_turn=0.12 * ranges.strength,
        rotation=0.25 * ranges.strength,
    )
    source = to_planes(frames)
    planes = random_warp(source, warp, generator, size=size)
    canvases = random_warp(source, WEAK_WARP, generator, size=size)
    shift = int(torch.randint(1, max(len(frames), 2), (), generator=generator))
    others = (torch.arange(len(frames)) + shift) % len(frames)
    guests = torch.full((len(frames),), NO_GUEST)
    edited = []
    for index in range(len(frames)):
        other = int(others[index])
        image, has_guest = edit_picture(planes[index], canvases[other], ranges, atlas, generator)
        guests[index] = other if has_guest else NO_GUEST
        edited.append(image)
    planes = degrade(torch.stack(edited), generator, strength=ranges.strength)
    return StrongViews(frames=to_frames(planes), guests=guests)


def edit_picture(
    image: Tensor, other: Tensor, ranges: StrongRanges, atlas: Atlas, generator: Generator
) -> tuple[Tensor, bool]:
    """Overlays and one composition; tells whether `other` shows in the result."""
    draws = torch.rand(3, generator=generator)
    if draws[0] < ranges.sticker:
        image = add_sticker(image, atlas, generator)
    image, has_guest = _compose(image, other, ranges, float(draws[1]), generator)
    if draws[2] < ranges.text:
        lines = 1 + int(uniform(0, 3, 1, generator))
        for _ in range(lines):
            image = add_text(image, atlas, generator)
    return image, has_guest


def _compose(
    image: Tensor, other: Tensor, ranges: StrongRanges, draw: float, generator: Generator
) -> tuple[Tensor, bool]:
    limits = torch.tensor([ranges.bars, ranges.inset, ranges.reaction, ranges.split]).cumsum(0)
    if draw < limits[0]:
        return add_bars(image, generator), False
    if draw < limits[1]:
        return inset(image, other, generator, low=0.3, high=0.65), True
    if draw < limits[2]:
        return inset(other, image, generator, low=0.25, high=0.5), True
    if draw < limits[3]:
        return split_screen(image, other, generator), True
    return image, False
