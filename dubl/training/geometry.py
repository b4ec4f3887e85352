"""Random changes of geometry, one resampling for all of them.

Pictures are float [N, 3, H, W] in 0..1. Every draw comes from the given generator, so that a
resumed run sees the same pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True, kw_only=True)
class WarpRanges:
    """How far a warp may go. Probabilities are per picture."""

    min_area: float = 0.3  # share of the picture that a crop keeps at least
    max_aspect: float = 2.0  # width to height of the crop, and its inverse
    mirror: float = 0.5
    quarter_turn: float = 0.1
    rotation: float = 0.2
    max_rotation_degrees: float = 20.0
    perspective: float = 0.15
    max_perspective: float = 0.25


def uniform(low: float, high: float, count: int, generator: Generator) -> Tensor:
    """Float [count], uniform in low..high."""
    return low + (high - low) * torch.rand(count, generator=generator)


def chance(probability: float, count: int, generator: Generator) -> Tensor:
    """Bool [count], each true with the probability."""
    return torch.rand(count, generator=generator) < probability


def random_warp(images: Tensor, ranges: WarpRanges, generator: Generator, *, size: int) -> Tensor:
    """Crops, mirrors, turns and tilts each picture: [N, 3, H, W] → [N, 3, size, size]."""
    count = len(images)
    matrix = _crop(count, ranges, generator)
    matrix = matrix @ _rotation(count, ranges, generator)
    matrix = matrix @ _perspective(count, ranges, generator)
    axis = (torch.arange(size) * 2 + 1) / size - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1).reshape(-1, 3)
    moved = points @ matrix.transpose(1, 2)
    grid = (moved[..., :2] / moved[..., 2:].clamp(min=0.2)).reshape(count, size, size, 2)
    padding = "zeros" if torch.rand((), generator=generator) < 0.5 else "reflection"
    return F.grid_sample(images, grid, padding_mode=padding, align_corners=False)


def _identity(count: int) -> Tensor:
    return torch.eye(3).repeat(count, 1, 1)


def _crop(count: int, ranges: WarpRanges, generator: Generator) -> Tensor:
    """Output coordinates → a box inside the picture, mirrored at times."""
    area = uniform(ranges.min_area, 1.0, count, generator)
    limit = math.log(ranges.max_aspect) / 2
    stretch = uniform(-limit, limit, count, generator).exp()
    width = (area.sqrt() * stretch).clamp(max=1.0)
    height = (area.sqrt() / stretch).clamp(max=1.0)
    mirrored = chance(ranges.mirror, count, generator)
    matrix = _identity(count)
    matrix[:, 0, 0] = torch.where(mirrored, -width, width)
    matrix[:, 1, 1] = height
    matrix[:, 0, 2] = (1 - width) * uniform(-1, 1, count, generator)
    matrix[:, 1, 2] = (1 - height) * uniform(-1, 1, count, generator)
    return matrix


def _rotation(count: int, ranges: WarpRanges, generator: Generator) -> Tensor:
    largest = math.radians(ranges.max_rotation_degrees)
    small = uniform(-largest, largest, count, generator)
    angle = torch.where(chance(ranges.rotation, count, generator), small, torch.zeros(count))
    turns = torch.randint(1, 4, (count,), generator=generator) * (math.pi / 2)
    turned = chance(ranges.quarter_turn, count, generator)
    angle = torch.where(turned, turns, angle)
    matrix = _identity(count)
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
    matrix[:, 1, 0] = angle.sin()
    matrix[:, 0, 1] = -angle.sin()
    return matrix


def _perspective(count: int, ranges: WarpRanges, generator: Generator) -> Tensor:
    limit = ranges.max_perspective
    tilt = torch.stack([uniform(-limit, limit, count, generator) for _ in range(2)], dim=1)
    tilted = chance(ranges.perspective, count, generator)
    matrix = _identity(count)
    matrix[:, 2, :2] = tilt * tilted[:, None]
    return matrix
