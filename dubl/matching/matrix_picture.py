"""A similarity matrix as a picture, with its segments."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from dubl.matching.signals import line_of
from dubl.types import Float64Array, Segment, TimedMatrix, Uint8Array

LONGER_SIDE = 720  # pixels; chosen
MIN_SIDE = 240  # pixels; chosen, so that short videos stay visible
LINE_WIDTH = 3  # pixels
# Dark to light in even steps of lightness (viridis), readable without color.
COLORS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


def draw_matrix(matrix: TimedMatrix, segments: Sequence[Segment] = ()) -> bytes:
    """A PNG. Both axes are linear in time and fill the picture, without margin or scale."""
    width, height = _size(matrix)
    rows = _nearest(matrix.query_times_s, matrix.query_duration_s, height)
    columns = _nearest(matrix.reference_times_s, matrix.reference_duration_s, width)
    levels = np.rint(np.clip(matrix.similarity, 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(_palette()[levels[np.ix_(rows, columns)]])
    for segment in segments:
        _draw_segment(image, matrix, segment)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _size(matrix: TimedMatrix) -> tuple[int, int]:
    """Width and height in pixels, proportional to the durations but at least MIN_SIDE."""
    query_s, reference_s = matrix.query_duration_s, matrix.reference_duration_s
    longer = max(query_s, reference_s, 1e-6)
    width, height = (
        max(MIN_SIDE, round(LONGER_SIDE * duration / longer)) for duration in (reference_s, query_s)
    )
    return width, height


def _nearest(times_s: Float64Array, duration_s: float, pixels: int) -> np.ndarray:
    """The row (column) that each pixel shows."""
    wanted = (np.arange(pixels) + 0.5) * duration_s / pixels
    middles = (times_s[1:] + times_s[:-1]) / 2
    return np.searchsorted(middles, wanted)


def _palette() -> Uint8Array:
    place = np.linspace(0, len(COLORS) - 1, 256)
    channels = [
        np.interp(place, range(len(COLORS)), channel) for channel in zip(*COLORS, strict=True)
    ]
    palette: Uint8Array = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return palette


def _draw_segment(image: Image.Image, matrix: TimedMatrix, segment: Segment) -> None:
    line = line_of(segment)
    ends = []
    for second in (segment.query_start_s, segment.query_end_s):
        other = line.slope * second + line.offset_s
        x = other / max(matrix.reference_duration_s, 1e-6) * image.width
        y = second / max(matrix.query_duration_s, 1e-6) * image.height
        ends.append((min(max(x, 1), image.width - 2), min(max(y, 1), image.height - 2)))
    draw = ImageDraw.Draw(image)
    draw.line(ends, fill=(0, 0, 0), width=LINE_WIDTH + 2)
    draw.line(ends, fill=(255, 255, 255), width=LINE_WIDTH)
