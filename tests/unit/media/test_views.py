"""Parts of composed pictures are found; pictures of one video have none."""

from __future__ import annotations

import tracemalloc
from functools import cache

import numpy as np
import pytest

from dubl.media.layout import MAX_PARTS, Box, find_parts
from dubl.media.views import MAX_ROWS, WORKING_SIDE, find_views, has_views, views_of
from dubl.types import MAX_VIEWS, Sampling, Uint8Array

SIDE = 320
WHOLE = Box(0, 0, SIDE, SIDE)
PARTS = Sampling(rate_hz=2.0, min_frames=4, frame_size=64, views="parts")
ALL_VIEWS = Sampling(rate_hz=2.0, min_frames=4, frame_size=64, views="all")


@cache
def _moving(seed: int, *, count: int = 12, still: bool = False) -> Uint8Array:
    """A video of soft shapes of all sizes that drift: [count,320,320,3]."""
    rng = np.random.default_rng(seed)
    place = np.arange(SIDE) / SIDE
    waves = rng.uniform(-1, 1, (24, 2)) * np.geomspace(4, 160, 24)[:, None]
    colors = rng.uniform(-1, 1, (24, 3)) * np.geomspace(45, 14, 24)[:, None]
    speeds, phases = rng.uniform(-0.6, 0.6, 24), rng.uniform(0, 6, 24)
    base = rng.uniform(70, 190, 3)
    frames = np.empty((count, SIDE, SIDE, 3), dtype=np.uint8)
    for row in range(count):
        down = np.outer(place, waves[:, 0])
        across = np.outer(waves[:, 1], place) + (phases + (0 if still else speeds * row))[:, None]
        for color in range(3):  # sin(a + b) = sin a cos b + cos a sin b
            light = (np.sin(down) * colors[:, color]) @ np.cos(across)
            light += (np.cos(down) * colors[:, color]) @ np.sin(across)
            frames[row, :, :, color] = np.clip(base[color] + light, 0, 255).astype(np.uint8)
    return frames


def _scaled(frames: Uint8Array, height: int, width: int) -> Uint8Array:
    rows = np.arange(height) * frames.shape[1] // height
    columns = np.arange(width) * frames.shape[2] // width
    return frames[:, rows][:, :, columns]


def _placed(canvas: Uint8Array, frames: Uint8Array, box: Box) -> Uint8Array:
    result = canvas.copy()
    result[:, box.top : box.bottom, box.left : box.right] = _scaled(frames, box.height, box.width)
    return result


def _blurred(frames: Uint8Array) -> Uint8Array:
    soft = frames.astype(np.float32)
    for axis in (1, 2):
        for _ in range(2):
            sums = np.cumsum(np.repeat(soft, 1, axis=axis), axis=axis)
            soft = (sums - np.roll(sums, 24, axis=axis)) / 24
            soft = np.roll(soft, -12, axis=axis)
    return np.clip(soft, 0, 255).astype(np.uint8)


def _finds(parts: list[Box], box: Box) -> bool:
    return any(part.overlap(box) > 0.95 for part in parts)


@pytest.mark.parametrize("color", [(0, 0, 0), (200, 40, 90)])
@pytest.mark.parametrize(
    "box",
    [Box(40, 0, 280, 320), Box(0, 60, 320, 260), Box(20, 30, 300, 290), Box(0, 0, 320, 220)],
    ids=["letterbox", "pillarbox", "border", "one bar"],
)
def test_bars_of_one_color_are_cut_off(box: Box, color: tuple[int, int, int]) -> None:
    canvas = np.full((12, SIDE, SIDE, 3), color, dtype=np.uint8)
    assert _finds(find_parts(_placed(canvas, _moving(1), box)), box)


def test_blurred_bars_are_cut_off() -> None:
    video, box = _moving(2), Box(0, 90, 320, 230)
    assert _finds(find_parts(_placed(_blurred(video), video, box)), box)


@pytest.mark.parametrize("line", [120, 160, 200])
def test_stacked_screens_are_parted(line: int) -> None:
    upper, lower = Box(0, 0, line, 320), Box(line, 0, 320, 320)
    frames = _placed(_placed(_moving(3), _moving(3), upper), _moving(4), lower)
    parts = find_parts(frames)
    assert _finds(parts, upper)
    assert _finds(parts, lower)


def test_four_screens_are_parted() -> None:
    boxes = [Box(y, x, y + 160, x + 160) for y in (0, 160) for x in (0, 160)]
    frames = _moving(5)
    for seed, box in enumerate(boxes):
        frames = _placed(frames, _moving(10 + seed), box)
    parts = find_parts(frames)
    assert all(_finds(parts, box) for box in boxes)
    assert len(parts) == MAX_PARTS


def test_screens_within_bars_are_parted() -> None:
    left, right = Box(50, 0, 270, 160), Box(50, 160, 270, 320)
    canvas = np.zeros((12, SIDE, SIDE, 3), dtype=np.uint8)
    parts = find_parts(_placed(_placed(canvas, _moving(6), left), _moving(7), right))
    assert _finds(parts, left)
    assert _finds(parts, right)


@pytest.mark.parametrize(
    "box",
    [Box(10, 10, 100, 110), Box(200, 190, 320, 320), Box(0, 100, 110, 240)],
    ids=["near a corner", "in a corner", "at an edge"],
)
def test_an_inset_is_found(box: Box) -> None:
    assert _finds(find_parts(_placed(_moving(8), _moving(9), box)), box)


@pytest.mark.parametrize("still", [False, True])
@pytest.mark.parametrize("count", [1, 2, 12])
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_one_video_has_no_parts(seed: int, count: int, still: bool) -> None:
    assert find_parts(_moving(seed, count=count, still=still)) == []


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_empty_picture_has_no_parts(level: int) -> None:
    assert find_parts(np.full((3, SIDE, SIDE, 3), level, dtype=np.uint8)) == []


def test_parts_of_a_still_picture_are_found() -> None:
    box = Box(60, 0, 260, 320)
    canvas = np.zeros((1, SIDE, SIDE, 3), dtype=np.uint8)
    assert _finds(find_parts(_placed(canvas, _moving(14, count=1), box)), box)


def test_bars_that_come_with_a_splice_hold_for_its_rows_alone() -> None:
    box = Box(60, 0, 260, 320)
    bars = _placed(np.zeros((10, SIDE, SIDE, 3), dtype=np.uint8), _moving(15, count=10), box)
    frames = np.concatenate([_moving(16), bars, _moving(17)])
    (part,) = find_views(frames)
    assert part.box.overlap(box) > 0.95
    assert np.flatnonzero(part.rows).tolist() == list(range(12, 22))


def test_views_are_numbered_and_share_the_times() -> None:
    box = Box(60, 0, 260, 320)
    video, times_s = _moving(18), np.arange(12) / 2
    canvas = np.zeros_like(video)
    views = views_of(_placed(canvas, video, box), times_s, sampling=PARTS)
    assert views.views.tolist() == [0] * 12 + [1] * 12
    assert views.timestamps_s.tolist() == [*times_s, *times_s]
    assert views.frames.shape == (24, 64, 64, 3)
    whole = views_of(video, times_s, sampling=PARTS).frames
    assert np.abs(views.frames[12:].astype(int) - whole.astype(int)).mean() < 8


def test_all_views_show_the_frame_mirrored_turned_and_negated() -> None:
    views = views_of(_moving(19), np.arange(12) / 2, sampling=ALL_VIEWS)
    whole = views.frames[views.views == 0]
    turned = (whole[:, :, ::-1], np.rot90(whole, axes=(1, 2)), whole[:, ::-1, ::-1])
    for expected in (*turned, 255 - whole):
        shown = [views.frames[views.views == number] for number in np.unique(views.views)]
        assert any(np.array_equal(expected, frames) for frames in shown)
    assert int(views.views.max()) < MAX_VIEWS


def test_a_long_clip_has_fewer_views() -> None:
    assert has_views(ALL_VIEWS, rows=MAX_ROWS // 2)
    assert not has_views(ALL_VIEWS, rows=MAX_ROWS // 2 + 1)


def test_cropped_pictures_have_no_views() -> None:
    cropped = Sampling(rate_hz=1, min_frames=4, frame_size=224, resize="crop", views="parts")
    assert not has_views(cropped, rows=10)


@pytest.mark.parametrize(("shape", "axis", "share"), [(9 / 16, 2, 27 / 64), (4.0, 1, 4 / 9)])
def test_a_second_pass_sets_a_cut_out_back_into_a_usual_shape(
    shape: float, axis: int, share: float
) -> None:
    video = _moving(19)
    times_s = np.arange(12) / 2
    plain = views_of(video, times_s, sampling=ALL_VIEWS, shape=16 / 9)
    cut_out = views_of(video, times_s, sampling=ALL_VIEWS, shape=shape)
    assert len(np.unique(cut_out.views)) == len(np.unique(plain.views)) + 1
    whole, back = (cut_out.frames[cut_out.views == view] for view in (0, 1))
    middle = round(64 * share)
    first = (64 - middle) // 2
    inner = np.take(back, range(first, first + middle), axis=axis)
    expected = _scaled(whole, 64, middle) if axis == 2 else _scaled(whole, middle, 64)
    assert np.abs(inner.astype(int) - expected).mean() < 20
    outer = np.take(back, range(first - 4), axis=axis).astype(int)
    assert (
        np.abs(np.diff(outer, axis=3 - axis)).mean()
        < np.abs(np.diff(whole.astype(int), axis=3 - axis)).mean()
    )


def test_views_are_cut_without_a_copy_of_all_pictures() -> None:
    """Those of half an hour take 1.1 GB."""
    frames = np.zeros((120, WORKING_SIDE, WORKING_SIDE, 3), np.uint8)
    sampling = Sampling(rate_hz=2.0, min_frames=4, frame_size=80, views="parts")
    tracemalloc.start()
    views_of(frames, np.arange(120.0), sampling=sampling)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.6 * frames.nbytes
