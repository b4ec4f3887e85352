"""Views of a query: the whole frame, and parts of it that may be what was copied.

View 0 is the whole frame. "parts" adds what bars frame, the screens of a stacked picture and an
inset; "thorough" adds the mirrored and the turned frame, tall and very wide pictures as the parts
of a usual one that they may be, halves and the middle of the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from dubl.media.layout import MAX_PARTS, Box, find_parts
from dubl.types import MAX_VIEWS, WHOLE_FRAME, Float64Array, Sampling, Uint8Array

WORKING_SIDE = 320
# Rows of all views of a video, as many as whole frames of an hour at two a second. The longer a
# video, the fewer views of it there are: memory and the embedder's time are bounded.
MAX_ROWS = 7200
# A layout of its own is looked for between cuts that are at least this far apart.
SHOT_ROWS = 6
MAX_SHOTS = 24
CUT_LEVELS = 30
SAME_BOX = 0.9
# Width over height from which a picture is rather cut out of another one, and the usual ones.
TALL, WIDE = 0.8, 2.4
USUAL_SHAPE, USUAL_WIDE_SHAPE = 4 / 3, 16 / 9
BLUR_SIDE = 8

_THUMBNAIL_STEP = 16

Turn = Callable[[Uint8Array], Uint8Array]

_TURNS: tuple[Turn, ...] = (
    lambda frames: frames[:, :, ::-1],
    lambda frames: np.rot90(frames, 1, axes=(1, 2)),
    lambda frames: np.rot90(frames, 2, axes=(1, 2)),
    lambda frames: np.rot90(frames, 3, axes=(1, 2)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A rectangle of the picture that holds for `rows` [N] of the clip."""

    box: Box
    rows: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Rows of all views, view after view: frames uint8 [M,S,S,3], timestamps_s float64 [M],
    views uint8 [M]."""

    frames: Uint8Array
    timestamps_s: Float64Array
    views: Uint8Array


def has_views(sampling: Sampling, *, rows: int) -> bool:
    """Whether views are made at all: not of "crop"ped pictures, whose margin is gone, and not
    where whole frames alone are as many rows as there may be."""
    return sampling.views != "whole" and sampling.resize == "squash" and 2 * rows <= MAX_ROWS


def whole_frames(frames: Uint8Array, timestamps_s: Float64Array) -> Views:
    """The one view that is always there."""
    views = np.full(len(frames), WHOLE_FRAME, dtype=np.uint8)
    return Views(frames=frames, timestamps_s=timestamps_s, views=views)


def views_of(
    frames: Uint8Array, timestamps_s: Float64Array, *, sampling: Sampling, shape: float = 1.0
) -> Views:
    """All views of frames [N,S,S,3], where S is better larger than frame_size: WORKING_SIDE.

    shape: width over height of the picture before it was squashed.
    """
    size, count = frames.shape[1], len(frames)
    everything = np.ones(count, dtype=bool)
    whole = _cut(frames, Part(box=Box(0, 0, size, size), rows=everything), sampling)
    room = min(MAX_ROWS // count, MAX_VIEWS) - 1
    parts = find_views(frames)[:room]
    extra = [(_cut(frames, part, sampling), part.rows) for part in parts]
    if sampling.views == "thorough":
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

    They are looked for between cuts, since a composed picture may have been spliced into a plain
    video. What holds for half of the clip, or shows only in the clip as a whole, holds for all.
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
    """Rows from cut to cut, the longest shots; none where there is no cut."""
    step = _THUMBNAIL_STEP
    small = frames[:, step // 2 :: step, step // 2 :: step].astype(np.int16)
    changes = np.abs(np.diff(small, axis=0)).mean(axis=(1, 2, 3))
    cuts = [int(row) + 1 for row in np.flatnonzero(changes > CUT_LEVELS)]
    if not cuts:
        return []
    shots = [shot for shot in pairwise([0, *cuts, len(frames)]) if shot[1] - shot[0] >= SHOT_ROWS]
    return sorted(shots, key=lambda shot: shot[0] - shot[1])[:MAX_SHOTS]


def _set_back(frames: Uint8Array, shape: float) -> Uint8Array:
    """Tall (or very wide) pictures [N,S,S,3] in the middle of their own blur, as narrow as they
    are within a picture of a usual shape.

    Squashed to a square, a cut-out is drawn out to many times its width, and is little like the
    picture that it was cut from.
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
    """The part's rows of frames, scaled to frame_size as whole pictures are."""
    rows, columns = part.box.within()
    shown = frames[part.rows][:, rows, columns]
    return _resized(shown, sampling.frame_size, sampling.frame_size)


def _resized(frames: Uint8Array, width: int, height: int) -> Uint8Array:
    """Frames [N,H,W,3] at another size."""
    reformatter = VideoReformatter()
    scaled: Uint8Array = np.empty((len(frames), height, width, 3), dtype=np.uint8)
    for place, frame in enumerate(frames):
        picture = VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        scaled[place] = reformatter.reformat(
            picture, width=width, height=height, interpolation="BILINEAR", threads=1
        ).to_ndarray()
    return scaled
