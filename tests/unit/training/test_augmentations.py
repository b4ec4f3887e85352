"""Augmentations keep shape, type and range, follow their generator, and do what they say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from dubl.training.augmentations import (
    StrongRanges,
    strong_views,
    to_frames,
    to_planes,
    weak_views,
)
from dubl.training.geometry import WarpRanges, random_warp
from dubl.training.overlays import (
    Atlas,
    add_bars,
    add_sticker,
    add_text,
    inset,
    paste,
    render_atlas,
    split_screen,
)
from dubl.training.photometric import (
    add_noise,
    blur,
    darken,
    degrade,
    jitter_colors,
    lose_resolution,
    quantize_blocks,
    to_gray,
)

SIDE = 64
STILL = WarpRanges(
    min_area=1.0, max_aspect=1.0, mirror=0.0, quarter_turn=0.0, rotation=0.0, perspective=0.0
)
ALL = StrongRanges(text=0.5, sticker=0.5)


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    torch.set_num_threads(1)
    return render_atlas(count=6)


@pytest.fixture(scope="module")
def frames() -> Tensor:
    coarse = torch.rand(6, 3, 8, 8, generator=generator())
    smooth = torch.nn.functional.interpolate(coarse, size=(80, 80), mode="bicubic")
    return to_frames(smooth)


@pytest.fixture(scope="module")
def planes(frames: Tensor) -> Tensor:
    return to_planes(frames[:, :SIDE, :SIDE])


@pytest.mark.parametrize(
    "change",
    [jitter_colors, darken, blur, add_noise, quantize_blocks, lose_resolution, degrade],
)
def test_photometric_changes_keep_shape_and_range(
    change: Callable[..., Tensor], planes: Tensor
) -> None:
    changed = change(planes, generator(), strength=1.0)
    assert changed.shape == planes.shape
    assert changed.dtype == torch.float32
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1.0001
    assert not torch.equal(changed, planes)


def test_weak_changes_alter_less_than_strong_ones(planes: Tensor) -> None:
    weak = jitter_colors(planes, generator(), strength=0.1)
    strong = jitter_colors(planes, generator(), strength=1.0)
    assert (weak - planes).abs().mean() < (strong - planes).abs().mean()


def test_gray_has_equal_channels(planes: Tensor) -> None:
    gray = to_gray(planes)
    assert torch.equal(gray[:, 0], gray[:, 2])


def test_block_quantization_keeps_the_mean_roughly(planes: Tensor) -> None:
    changed = quantize_blocks(planes, generator(), strength=0.1)
    assert float((changed.mean() - planes.mean()).abs()) < 0.02


def test_a_warp_without_ranges_changes_nothing(planes: Tensor) -> None:
    assert torch.allclose(random_warp(planes, STILL, generator(), size=SIDE), planes, atol=1e-5)


def test_a_certain_mirror_flips_left_and_right(planes: Tensor) -> None:
    ranges = WarpRanges(
        min_area=1.0, max_aspect=1.0, mirror=1.0, quarter_turn=0.0, rotation=0.0, perspective=0.0
    )
    flipped = random_warp(planes, ranges, generator(), size=SIDE)
    assert torch.allclose(flipped, planes.flip(3), atol=1e-4)


def test_a_certain_quarter_turn_moves_the_corners(planes: Tensor) -> None:
    ranges = WarpRanges(
        min_area=1.0, max_aspect=1.0, mirror=0.0, quarter_turn=1.0, rotation=0.0, perspective=0.0
    )
    turned = random_warp(planes[:1], ranges, generator(), size=SIDE)
    turns = [torch.rot90(planes[:1], count, (2, 3)) for count in (1, 2, 3)]
    assert min(float((turned - other).abs().max()) for other in turns) < 1e-3


def test_overlays_keep_shape_and_range(planes: Tensor, atlas: Atlas) -> None:
    image, other = planes[0], planes[1]
    for seed in range(25):
        draws = generator(seed)
        results = [
            add_text(image, atlas, draws),
            add_sticker(image, atlas, draws),
            add_bars(image, draws),
            inset(image, other, draws, low=0.3, high=0.6),
            split_screen(image, other, draws),
        ]
        for result in results:
            assert result.shape == image.shape
            assert 0 <= float(result.min()) <= float(result.max()) <= 1.0001


def test_pasting_outside_the_canvas_changes_nothing(planes: Tensor) -> None:
    part, alpha = torch.ones(3, 8, 8), torch.ones(1, 8, 8)
    for top, left in ((-20, 0), (0, -20), (SIDE + 3, 0), (0, SIDE + 3)):
        assert torch.equal(paste(planes[0], part, alpha, top, left), planes[0])


def test_pasting_over_the_edge_is_cut(planes: Tensor) -> None:
    result = paste(planes[0], torch.ones(3, 8, 8), torch.ones(1, 8, 8), -4, -4)
    assert bool((result[:, :4, :4] == 1).all())
    assert torch.equal(result[:, 4:, 4:], planes[0][:, 4:, 4:])


def test_an_inset_leaves_most_of_the_canvas(planes: Tensor) -> None:
    result = inset(planes[0], torch.zeros_like(planes[0]), generator(), low=0.3, high=0.5)
    assert 0.5 < float((result == 0).all(dim=0).float().mean()) < 0.95


def test_views_are_frames_of_the_wanted_size(frames: Tensor, atlas: Atlas) -> None:
    weak = weak_views(frames, generator(), size=SIDE)
    strong = strong_views(frames, ALL, atlas, generator(), size=SIDE)
    assert weak.shape == strong.frames.shape == (6, SIDE, SIDE, 3)
    assert weak.dtype == strong.frames.dtype == torch.uint8


def test_views_follow_the_generator(frames: Tensor, atlas: Atlas) -> None:
    first, again, other = (
        strong_views(frames, ALL, atlas, generator(seed), size=SIDE) for seed in (1, 1, 2)
    )
    assert torch.equal(first.frames, again.frames)
    assert not torch.equal(first.frames, other.frames)


def test_views_name_their_guests(frames: Tensor, atlas: Atlas) -> None:
    certain = StrongRanges(bars=0.0, inset=1.0, reaction=0.0, split=0.0)
    guests = strong_views(frames, certain, atlas, generator(), size=SIDE).guests
    assert bool((guests >= 0).all())
    assert bool((guests != torch.arange(6)).all())
    alone = StrongRanges(bars=0.0, inset=0.0, reaction=0.0, split=0.0)
    assert bool((strong_views(frames, alone, atlas, generator(), size=SIDE).guests == -1).all())


def test_weak_views_stay_closer_than_strong_views(frames: Tensor, atlas: Atlas) -> None:
    still = random_warp(to_planes(frames), STILL, generator(), size=SIDE)
    weak = to_planes(weak_views(frames, generator(), size=SIDE))
    strong = to_planes(strong_views(frames, ALL, atlas, generator(), size=SIDE).frames)
    assert (weak - still).abs().mean() < (strong - still).abs().mean()
