"""Frames of a query above the frames of a reference at the matching moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dubl.errors import DublError
from dubl.footage.video_file import read_frames
from dubl.plots import FAINT, INK, PALE

MOMENTS = 4
PAPER = "white"
CELL = (228, 150)  # pixels of one frame with its room
GAP = 8
TEXT = 66


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Two videos and the moments to show: seconds of the query and of the reference, in pairs.

    `title` says what it is, `lines` one line under it for either video.
    """

    title: str
    lines: tuple[str, str]
    query: Path
    reference: Path
    moments: Sequence[tuple[float, float]]


def moments_of(
    query_s: tuple[float, float],
    reference_s: tuple[float, float],
    *,
    backwards: bool = False,
    count: int = MOMENTS,
) -> list[tuple[float, float]]:
    """`count` moments spread inside a common stretch, with the seconds of both sides."""
    parts = (np.arange(count) + 0.5) / count
    ahead = 1 - parts if backwards else parts
    times = query_s[0] + parts * (query_s[1] - query_s[0])
    theirs = reference_s[0] + ahead * (reference_s[1] - reference_s[0])
    return list(zip(times.tolist(), theirs.tolist(), strict=True))


def draw_strips(strips: Sequence[Strip]) -> Image.Image:
    """All strips below each other, the query's frames above the reference's."""
    height = TEXT + 2 * (CELL[1] + GAP) + 3 * GAP
    width = 2 * GAP + MOMENTS * (CELL[0] + GAP)
    page = Image.new("RGB", (width, max(height * len(strips), 1)), PAPER)
    for place, strip in enumerate(strips):
        _draw_strip(page, strip, top=place * height)
    return page


def _draw_strip(page: Image.Image, strip: Strip, *, top: int) -> None:
    pen = ImageDraw.Draw(page)
    pen.line([(0, top), (page.width, top)], fill=FAINT, width=2)
    pen.text((GAP, top + 8), strip.title, fill=INK, font=ImageFont.load_default(16))
    for row, line in enumerate(strip.lines):
        place = (GAP, top + 29 + 17 * row)
        pen.text(place, line, fill=PALE, font=ImageFont.load_default(13))
    for row, path in enumerate((strip.query, strip.reference)):
        for column, times in enumerate(strip.moments[:MOMENTS]):
            left = GAP + column * (CELL[0] + GAP)
            upper = top + TEXT + row * (CELL[1] + GAP)
            frame = _frame(path, times[row])
            page.paste(frame, (left + (CELL[0] - frame.width) // 2, upper))
            label = f"{times[row]:.1f} s"
            font = ImageFont.load_default(12)
            pen.text(
                (left + 3, upper + CELL[1] - 16),
                label,
                fill=INK,
                font=font,
                stroke_width=3,
                stroke_fill=PAPER,
            )


def _frame(path: Path, time_s: float) -> Image.Image:
    """The frame shown at a moment, made to fit a cell; an empty cell where there is none."""
    try:
        frames = read_frames(path, start_s=max(time_s, 0.0), max_side=2 * CELL[0])
        shown = next(frames, None)
    except DublError:
        shown = None
    if shown is None:
        return Image.new("RGB", CELL, FAINT)
    picture = Image.fromarray(shown.image)
    picture.thumbnail(CELL, Image.Resampling.LANCZOS)
    return picture
