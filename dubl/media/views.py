"""Views of a query: the whole frame, and parts of it that may be the copy.

View 0 is the whole frame. "parts" adds the picture inside bars, stacked screens, and an inset.
"all" adds test-time augmentation: mirrored, rotated and negated frames, tall and very wide pictures
at a usual shape, the halves and the middle of the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from dubl.media.layout import MAX_PARTS, Box, find_parts
from dubl.types import MAX_VIEWS, WHOLE_FRAME, Float64Array, Sampling, Uint8Array

# All values are chosen.
WORKING_SIDE = 320  # pixels of the pictures in which a layout is searched
# Rows of all views of a video: an hour of whole frames at two a second. Longer videos get fewer
# views, which bounds memory and the embedder's time.
MAX_ROWS = 7200
SHOT_ROWS = 6  # rows; shorter shots are not searched for a layout
MAX_SHOTS = 24  # longest shots that are searched; bounds the time
CUT_LEVELS = 30  # gray levels, mean change between two rows that counts as a cut
SAME_BOX = 0.9  # intersection over union from which two boxes are the same part
TALL, WIDE = 0.8, 2.4  # width over height; beyond them a picture is probably cropped
USUAL_SHAPE, USUAL_WIDE_SHAPE = 4 / 3, 16 / 9  # width over height of uncropped pictures
BLUR_SIDE = 8  # pixels of the picture whose enlargement is the blurred margin

_THUMBNAIL_STEP = 16  # pixels between the samples that are compared to find cuts

Turn = Callable[[Uint8Array], Uint8Array]

_TURNS: tuple[Turn, ...] = (
    lambda frames: frames[:, :, ::-1],
    lambda frames: np.rot90(frames, 1, axes=(1, 2)),
    lambda frames: np.rot90(frames, 2, axes=(1, 2)),
    lambda frames: np.rot90(frames, 3, axes=(1, 2)),
    lambda frames: 255 - frames,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A rectangle of the picture, and the rows [N] of the clip in which it shows a video."""

    box: Box
    rows: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Rows of all views, one view after the other: frames uint8 [M,S,S,3], timestamps_s float64
    [M], views uint8 [M]."""

    frames: Uint8Array
    timestamps_s: Float64Array
    views: Uint8Array


def has_views(sampling: Sampling, *, rows: int) -> bool:
    """Whether views are made at all.

    Cropped pictures ("crop") have none, as their margin is missing. Long videos have none, as their
    whole frames alone take MAX_ROWS / 2 or more.
    """
    return sampling.views != "whole" and sampling.resize == "squash" and 2 * rows <= MAX_ROWS


def whole_frames(frames: Uint8Array, timestamps_s: Float64Array) -> Views:
    """View 0, which always exists."""
    views = np.full(len(frames), WHOLE_FRAME, dtype=np.uint8)
    return Views(frames=frames, timestamps_s=timestamps_s, views=views)


def views_of(
    frames: Uint8Array, timestamps_s: Float64Array, *, sampling: Sampling, shape: float = 1.0
) -> Views:
    """All views of frames [N,S,S,3]; S should be WORKING_SIDE.

    shape: width over height of the picture before it was squashed to a square.
    """
    size, count = frames.shape[1], len(frames)
    everything = np.ones(count, dtype=bool)
    whole = _cut(frames, Part(box=Box(0, 0, size, size), rows=everything), sampling)
    room = min(MAX_ROWS // count, MAX_VIEWS) - 1
    parts = find_views(frames)[:room]
    extra = [(_cut(frames, part, sampling), part.rows) for part in parts]
    if sampling.views == "all":
        shapes = [shape, *(shape * part.box.width / part.box.height for part in parts)]
        shown = [(whole, everything), *extra]
        extra += [
            (_set_back(picture, one), rows)
            for (picture, rows), one in zip(shown, shapes, strict=True)
            if not TALL <= one <= WIDE
        ]
        extra += [(turn(whole), everything) for turn in _TURNS]
        pieces = [Part(box=piece, rows=everything) for piece in _pieces(size)]
        extra += [(_cut(frames, piece, sampling), everything) for piece in pieces]
    numbered = list(enumerate([(whole, everything), *extra[:room]], start=WHOLE_FRAME))
    return Views(
        frames=np.concatenate([shown for _, (shown, _) in numbered]),
        timestamps_s=np.concatenate([timestamps_s[rows] for _, (_, rows) in numbered]),
        views=np.concatenate(
            [np.full(len(shown), number, dtype=np.uint8) for number, (shown, _) in numbered]
        ),
    )


def find_views(frames: Uint8Array) -> list[Part]:
    """Parts of frames [N,S,S,3], longest and largest first.

    They are searched between cuts, as a composed picture may be spliced into a plain video. A part
    found in more than half of the clip, or only in the clip as a whole, is used for all rows.
    """
    found: list[Part] = []
    for start, stop in _shots(frames):
        for box in find_parts(frames[start:stop]):
            _add(found, box, start, stop, count=len(frames))
    if not found:
        return [Part(box=box, rows=np.ones(len(frames), dtype=bool)) for box in find_parts(frames)]
    for part in found:
        if part.rows.mean() > 0.5:
            part.rows[:] = True
    found.sort(key=lambda part: -part.box.area * int(part.rows.sum()))
    return found[:MAX_PARTS]


def _add(found: list[Part], box: Box, start: int, stop: int, *, count: int) -> None:
    """Adds a part, or its rows to one of nearly the same box."""
    for part in found:
        if part.box.overlap(box) >= SAME_BOX:
            part.rows[start:stop] = True
            return
    rows = np.zeros(count, dtype=bool)
    rows[start:stop] = True
    found.append(Part(box=box, rows=rows))


def _shots(frames: Uint8Array) -> list[tuple[int, int]]:
    """The longest shots, as rows from cut to cut; empty if there is no cut."""
    step = _THUMBNAIL_STEP
    small = frames[:, step // 2 :: step, step // 2 :: step].astype(np.int16)
    changes = np.abs(np.diff(small, axis=0)).mean(axis=(1, 2, 3))
    cuts = [int(row) + 1 for row in np.flatnonzero(changes > CUT_LEVELS)]
    if not cuts:
        return []
    shots = [shot for shot in pairwise([0, *cuts, len(frames)]) if shot[1] - shot[0] >= SHOT_ROWS]
    return sorted(shots, key=lambda shot: shot[0] - shot[1])[:MAX_SHOTS]


def _set_back(frames: Uint8Array, shape: float) -> Uint8Array:
    """Tall (or very wide) pictures [N,S,S,3], placed in a picture of a usual shape over a blurred
    background.

    Squashed to a square, a cropped picture is stretched so much that it no longer resembles the
    original.
    """
    share = shape / USUAL_SHAPE if shape < 1 else USUAL_WIDE_SHAPE / shape
    side = frames.shape[1]
    width, height = (round(side * share), side) if shape < 1 else (side, round(side * share))
    left, top = (side - width) // 2, (side - height) // 2
    blurred = _resized(_resized(frames, BLUR_SIDE, BLUR_SIDE), side, side)
    blurred[:, top : top + height, left : left + width] = _resized(frames, width, height)
    return blurred


def _pieces(size: int) -> list[Box]:
    """Left, right, upper and lower half, and the middle."""
    half, rim = size // 2, size // 6
    return [
        Box(rim, rim, size - rim, size - rim),
        Box(0, 0, size, half),
        Box(0, half, size, size),
        Box(0, 0, half, size),
        Box(half, 0, size, size),
    ]


def _cut(frames: Uint8Array, part: Part, sampling: Sampling) -> Uint8Array:
    """The part in its rows of frames, scaled to frame_size like whole pictures."""
    rows, columns = part.box.within()
    shown = [frames[row, rows, columns] for row in np.flatnonzero(part.rows)]  # copies nothing
    return _resized(shown, sampling.frame_size, sampling.frame_size)


def _resized(frames: Sequence[Uint8Array] | Uint8Array, width: int, height: int) -> Uint8Array:
    """N frames [H,W,3], scaled to [N,height,width,3]."""
    reformatter = VideoReformatter()
    scaled: Uint8Array = np.empty((len(frames), height, width, 3), dtype=np.uint8)
    for place, frame in enumerate(frames):
        picture = VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        scaled[place] = reformatter.reformat(
            picture, width=width, height=height, interpolation="BILINEAR", threads=1
        ).to_ndarray()
    return scaled
