"""Views follow their generator, show what their trace says, and edit what they are told to."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Generator, Tensor

from dubl.training.datasets import Overlays, render_overlays
from dubl.training.sampling import region_overlaps
from dubl.training.views import (
    NOBODY,
    REACTION,
    TRACE_SIDE,
    Edits,
    StrongRanges,
    draw_strong,
    draw_weak,
    edited,
    gaussian_blur,
    trace,
)

SIDE = 96
COUNT = 24
PLAIN = StrongRanges(
    strength=1, mild=0, text=0, sticker=0, colors=0, jpeg=0, bars=0, inset=0, reaction=0, split=0
)


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def overlays() -> Overlays:
    torch.set_num_threads(1)
    return render_overlays(count=8)


@pytest.fixture(scope="module")
def frames() -> Tensor:
    coarse = torch.rand(COUNT, 3, 8, 8, generator=generator())
    smooth = torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic")
    return (smooth.clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def coordinates(blue: int) -> Tensor:
    """Pictures whose red is x and whose green is y, 0 to 250 over the side."""
    axis = ((torch.arange(SIDE) + 0.5) / SIDE * 250).to(torch.uint8)
    picture = torch.full((SIDE, SIDE, 3), blue, dtype=torch.uint8)
    picture[..., 0], picture[..., 1] = axis[None], axis[:, None]
    return picture.repeat(COUNT, 1, 1, 1)


def untouched(edits: Edits) -> Edits:
    """The same geometry with colors and sharpness left alone."""
    count = len(edits.kind)
    return replace(
        edits,
        color=torch.eye(3, 4).repeat(count, 1, 1),
        contrast=torch.ones(count),
        gamma=torch.ones(count),
        blur=torch.zeros(count),
        loss=torch.ones(count),
        noise=torch.zeros(count),
        jpeg=torch.zeros(count),
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_trace_tells_what_shows_where(overlays: Overlays, seed: int) -> None:
    ranges = StrongRanges(text=0, sticker=0, mild=0.1, recut=0.5, inset=0.3, split=0.2, bars=0.2)
    edits = untouched(draw_strong(COUNT, ranges, generator(seed)))
    edits = replace(edits, ground=torch.full((COUNT, 3), 1.0))
    side = TRACE_SIDE * 16 + TRACE_SIDE  # the points of the trace lie in the middle of pixels
    view, _ = edited(coordinates(40), coordinates(200), edits, overlays, size=side)
    traced = trace(edits)
    pixels = (torch.arange(TRACE_SIDE) * 2 + 1) * side // (2 * TRACE_SIDE)
    shown = view[:, pixels][:, :, pixels].float()
    inner = (traced.points.abs() < 0.9).all(dim=-1)
    for layer, blue in ((0, 40), (1, 200)):
        there = (traced.layer == layer) & inner
        assert int(there.sum()) > 100
        seen = shown[there]
        near = (seen[:, 2] - blue).abs() < 4
        assert near.float().mean() > 0.95  # the rest lies at the border between two layers
        expected = (traced.points[there] + 1) / 2 * 250
        assert (seen[near, :2] - expected[near]).abs().quantile(0.95) < 6


def test_regions_that_overlap_are_those_that_show_the_same() -> None:
    """An unchanged view overlaps itself region by region; a mirrored one the other way round."""
    weak = draw_weak(COUNT, generator())
    still = replace(weak, front_warp=torch.eye(3).repeat(COUNT, 1, 1))
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0])).repeat(COUNT, 1, 1)
    guests = torch.arange(COUNT).roll(1)
    hidden = torch.zeros(COUNT, SIDE, SIDE)
    same = region_overlaps(still, still, guests, hidden)
    assert torch.equal(same, torch.eye(9 * COUNT))
    flipped = region_overlaps(replace(still, front_warp=mirror), still, guests, hidden)
    assert flipped[0, 2] == flipped[3, 5] == flipped[4, 4] == 1
    assert flipped.sum() == 9 * COUNT
    covered = region_overlaps(still, still, guests, torch.ones(COUNT, SIDE, SIDE))
    assert covered.sum() == 0


def test_a_reaction_overlaps_its_own_picture_and_the_guest() -> None:
    only = StrongRanges(mild=0, bars=0, inset=0, reaction=1, split=0, recut=0)
    edits, guests = draw_strong(COUNT, only, generator()), torch.arange(COUNT).roll(1)
    assert bool((edits.kind == REACTION).all())
    overlaps = region_overlaps(
        edits, draw_weak(COUNT, generator()), guests, torch.zeros(COUNT, 8, 8)
    )
    pairs = overlaps.view(COUNT, 9, COUNT, 9).sum(dim=(1, 3))
    assert bool((pairs[torch.arange(COUNT), guests] > 0).all())
    assert bool((pairs.diagonal() > pairs[torch.arange(COUNT), guests]).float().mean() > 0.7)
    pairs[torch.arange(COUNT), guests] = 0
    assert torch.equal(pairs, torch.diag(pairs.diagonal()))


def test_views_follow_the_generator(frames: Tensor, overlays: Overlays) -> None:
    def view(seed: int) -> Tensor:
        edits = draw_strong(COUNT, StrongRanges(), generator(seed))
        return edited(frames, frames.roll(1, 0), edits, overlays, size=72)[0]

    assert torch.equal(view(1), view(1))
    assert not torch.equal(view(1), view(2))


def test_views_are_frames_of_the_wanted_size(frames: Tensor, overlays: Overlays) -> None:
    for edits in (draw_weak(COUNT, generator()), draw_strong(COUNT, StrongRanges(), generator())):
        view, hidden = edited(frames, frames, edits, overlays, size=80)
        assert view.shape == (COUNT, 80, 80, 3)
        assert view.dtype == torch.uint8
        assert hidden.shape == (COUNT, 80, 80)


def test_one_edit_serves_all_frames_of_a_clip(frames: Tensor, overlays: Overlays) -> None:
    edits = draw_strong(1, StrongRanges(), generator(3)).take(torch.zeros(COUNT).long())
    still = frames[:1].expand(COUNT, -1, -1, -1)
    view, _ = edited(still, still, edits, overlays, size=72)
    assert torch.equal(view, view[:1].expand(COUNT, -1, -1, -1))


def test_edits_do_not_depend_on_the_pictures_beside(frames: Tensor, overlays: Overlays) -> None:
    edits = draw_strong(COUNT, StrongRanges(), generator(5))
    whole, _ = edited(frames, frames.roll(1, 0), edits, overlays, size=72)
    rows = torch.arange(7, 15)
    part, _ = edited(frames[rows], frames.roll(1, 0)[rows], edits.take(rows), overlays, size=72)
    assert (whole[rows].int() - part.int()).abs().max() <= 1


def test_weak_views_stay_closer_than_strong_views(frames: Tensor, overlays: Overlays) -> None:
    def change(edits: Edits) -> float:
        view, _ = edited(frames, frames.roll(1, 0), edits, overlays, size=SIDE)
        return float((view.float() - frames.float()).abs().mean())

    weak, strong = draw_weak(COUNT, generator()), draw_strong(COUNT, StrongRanges(), generator())
    assert change(weak) < change(strong)


def test_a_view_names_whether_it_shows_a_guest() -> None:
    certain = StrongRanges(mild=0, bars=0, inset=0.5, reaction=0, split=0.5)
    alone = StrongRanges(inset=0, reaction=0, split=0)
    assert bool(draw_strong(COUNT, certain, generator()).shows_guest.all())
    edits = draw_strong(COUNT, alone, generator())
    assert not bool(edits.shows_guest.any())
    assert not bool((trace(edits).layer == 1).any())


def test_stickers_and_text_cover_what_they_lie_on(frames: Tensor, overlays: Overlays) -> None:
    certain = replace(PLAIN, text=1, sticker=1)
    _, hidden = edited(frames, frames, draw_strong(COUNT, certain, generator()), overlays, size=72)
    assert bool((hidden.flatten(1).amax(dim=1) > 0.5).all())
    _, bare = edited(frames, frames, draw_strong(COUNT, PLAIN, generator()), overlays, size=72)
    assert bare.sum() == 0


def test_blur_keeps_the_mean_and_lowers_the_contrast(frames: Tensor) -> None:
    planes = frames.permute(0, 3, 1, 2).float()
    blurred = gaussian_blur(planes, torch.linspace(0.5, 2.5, COUNT))
    assert (blurred.mean() - planes.mean()).abs() < 0.5
    assert bool((blurred.std(dim=(1, 2, 3)) < planes.std(dim=(1, 2, 3))).all())


def test_what_lies_outside_the_layout_belongs_to_nobody() -> None:
    turned = draw_weak(1, generator())
    angle = torch.tensor(0.7)
    rotation = torch.eye(3)[None].clone()
    rotation[0, :2, :2] = torch.stack(
        [torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])]
    )
    layer = trace(replace(turned, recut=rotation)).layer[0]
    assert layer[0, 0] == layer[-1, -1] == NOBODY
    assert layer[TRACE_SIDE // 2, TRACE_SIDE // 2] == 0


def test_stickers_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    """A folder of thousands has some: one of 25 000 x 25 000 pixels once ended a run."""
    Image.new("RGBA", (40, 40), (200, 30, 30, 255)).save(tmp_path / "good.png")
    (tmp_path / "torn.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    head = bytearray((tmp_path / "good.png").read_bytes())
    head[16:24] = struct.pack(">II", 25_000, 25_000)
    head[29:33] = struct.pack(">I", zlib.crc32(bytes(head[12:29])))
    (tmp_path / "bomb.png").write_bytes(head)
    alone = render_overlays(count=8)
    assert len(render_overlays(tmp_path, count=8).stickers) == len(alone.stickers) + 1


def test_fonts_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    """Among those of a system are some of emoji, which are pictures of one size."""
    (tmp_path / "torn.ttf").write_bytes(b"no font")
    assert len(render_overlays(fonts=tmp_path, count=8).texts) == 8
