"""Layout: rectangles of a picture that show a video (inside bars, stacked screens, an inset).

Edges of a composed picture stand still, are straight to the pixel, and run exactly from one end of
the picture (or of a rectangle) to the other. Edges in a scene seldom do. All thresholds were chosen
on real clips with a static camera: their walls, doors and tables are the hardest negatives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dubl.media.edges import Maps, covers_of, maps_of, side_covers, side_places
from dubl.types import Uint8Array

# Chosen on real clips, see above. A "cover" is the share of a line's length that shows an edge.
MAX_PARTS = 4  # rectangles of one picture; bounds the time of a query
MIN_SIDE = 0.2  # share of the picture's side
MAX_AREA = 0.94  # share of the picture's area; a larger part is the picture itself
RIM = 0.04  # share of the picture's side, in which no line is searched

# A bar: columns of one level that end suddenly.
FLAT_LEVELS = 10  # gray levels around the median
FLAT_SHARE = 0.97  # share of a column's pixels within FLAT_LEVELS
JUMP_SHARE = 0.4  # share of pixels outside FLAT_LEVELS right after the bar
# A pair of bars filled with a blurred picture.
BAR_COVER = 0.35  # cover of both edges
SOFT = 0.5  # detail in the bars, as a share of the detail between them
# A line between two screens. A line with one side always brighter may be an object.
LINE_COVER = 0.57
ONE_SIDED = 0.85  # share of the mean step that has one sign
ONE_SIDED_COVER = 0.8
# An inset.
INSET_COVER = (0.76, 0.74, 0.63)  # mean cover of two, three, four sides inside the picture
SIDE_COVER = 0.3  # cover of each side
MAX_INSET = 0.6  # share of the region's area


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A rectangle in pixels: rows top..bottom and columns left..right, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def area(self) -> int:
        return self.height * self.width

    @property
    def turned(self) -> Box:
        """The box in the transposed picture."""
        return Box(self.left, self.top, self.right, self.bottom)

    def within(self, rim: int = 0) -> tuple[slice, slice]:
        """The rows and columns of the box without `rim` pixels on each side."""
        return slice(self.top + rim, self.bottom - rim), slice(self.left + rim, self.right - rim)

    def overlap(self, other: Box) -> float:
        """Intersection over union."""
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        width = min(self.right, other.right) - max(self.left, other.left)
        shared = max(height, 0) * max(width, 0)
        return shared / (self.area + other.area - shared)


def find_parts(frames: Uint8Array) -> list[Box]:
    """Rectangles that show a video inside frames [N,S,S,3], at most MAX_PARTS, largest first.

    Empty if one video fills the picture. S should be about 320, as edge distances are in pixels.
    """
    size = frames.shape[1]
    whole = Box(0, 0, size, size)
    leaves, groups = _Search(maps_of(frames)).parts(whole)
    parts: list[Box] = []
    for box in (*_largest_first(leaves), *_largest_first(groups)):
        if box.area <= MAX_AREA * whole.area and box not in parts:
            parts.append(box)
    return _largest_first(parts[:MAX_PARTS])


def _largest_first(boxes: list[Box]) -> list[Box]:
    return sorted(boxes, key=lambda box: (-box.area, box))


class _Search:
    """Divides a region: removes bars, splits at the clearest line, repeats; then finds an inset."""

    def __init__(self, maps: tuple[Maps, Maps]) -> None:
        self._upright, self._lying = maps
        size = int(self._upright.edges.shape[0])
        self._least = round(MIN_SIDE * size)
        self._rim = round(RIM * size)

    def parts(self, region: Box) -> tuple[list[Box], list[Box]]:
        """Regions that are not divided any further, and the regions they were taken from.

        The latter are needed too, as a line may belong to the scene.
        """
        inner = self._without_bars(region)
        pieces = self._split(inner)
        if not pieces:
            return [inner, *self._insets(inner)], []
        leaves: list[Box] = []
        groups = [inner]
        for piece in pieces:
            below, between = self.parts(piece)
            leaves += below
            groups += between
        return leaves, groups

    def _without_bars(self, region: Box) -> Box:
        while True:
            inner = self._unblurred(self._trimmed(region))
            if inner == region or min(inner.width, inner.height) < self._least:
                return region
            region = inner

    def _trimmed(self, region: Box) -> Box:
        left, right = _margins(self._upright.gray, region)
        top, bottom = _margins(self._lying.gray, region.turned)
        return Box(
            region.top + top, region.left + left, region.bottom - bottom, region.right - right
        )

    def _unblurred(self, region: Box) -> Box:
        bar = self._blurred_bar(region, turned=False)
        if bar:
            return Box(region.top, region.left + bar, region.bottom, region.right - bar)
        bar = self._blurred_bar(region, turned=True)
        return Box(region.top + bar, region.left, region.bottom - bar, region.right)

    def _blurred_bar(self, region: Box, *, turned: bool) -> int:
        """Width in pixels of the bars left and right (top and bottom, if turned), or 0."""
        edges, shown = self._seen(region, turned)
        covers = covers_of(edges[shown.within()])
        near = np.max([covers, np.roll(covers, 1), np.roll(covers, -1)], axis=0)
        pairs = np.minimum(near, near[::-1])[: (shown.width - self._least) // 2]
        pairs[: self._rim] = 0
        if not len(pairs) or pairs.max() < BAR_COVER:
            return 0
        bar = int(np.argmax(pairs))
        cuts = (shown.left, shown.left + bar, shown.right - bar, shown.right)
        left, inner, right = (
            self._detail(Box(shown.top, start, shown.bottom, end), turned)
            for start, end in pairwise(cuts)
        )
        return bar if max(left, right) < SOFT * inner else 0

    def _split(self, region: Box) -> list[Box]:
        """The two sides of the clearest line through the region."""
        upright, column = self._clearest_line(region, turned=False)
        lying, row = self._clearest_line(region, turned=True)
        if max(upright, lying) < 0:
            return []
        if upright >= lying:
            first = Box(region.top, region.left, region.bottom, column)
            second = Box(region.top, column, region.bottom, region.right)
        else:
            first = Box(region.top, region.left, row, region.right)
            second = Box(row, region.left, region.bottom, region.right)
        return [piece for piece in (first, second) if self._is_large(piece)]

    def _clearest_line(self, region: Box, *, turned: bool) -> tuple[float, int]:
        """The clearest line: its cover minus the needed cover, and its column (row)."""
        edges, shown = self._seen(region, turned)
        covers = covers_of(edges[shown.within()])
        covers[: self._rim] = covers[len(covers) - self._rim :] = 0
        gray = (self._lying if turned else self._upright).gray
        best, place = -1.0, shown.left
        for column in shown.left + np.argsort(-covers, kind="stable")[:4]:
            cover = float(covers[column - shown.left])
            needed = LINE_COVER
            if _one_sided(gray[:, shown.top : shown.bottom], int(column)):
                needed = ONE_SIDED_COVER
            if cover - needed > best:
                best, place = cover - needed, int(column)
        return best, place

    def _insets(self, region: Box) -> list[Box]:
        """The rectangle with the clearest sides that end at its corners, if it is clear enough."""
        columns = side_places(self._upright.edges, region.within(), self._least)
        rows = side_places(self._lying.edges, region.turned.within(), self._least)
        upright = side_covers(self._upright.edges, columns, rows, (region.left, region.right))
        lying = side_covers(self._lying.edges, rows, columns, (region.top, region.bottom))
        shape = (len(rows), len(rows), len(columns), len(columns))
        by_rows = upright.transpose(1, 2, 0)
        sides = np.stack(
            [
                np.broadcast_to(by_rows[:, :, :, None], shape),
                np.broadcast_to(by_rows[:, :, None, :], shape),
                np.broadcast_to(lying[:, None], shape),
                np.broadcast_to(lying[None], shape),
            ]
        )
        inside = np.isfinite(sides)
        heights, widths = np.subtract.outer(rows, rows).T, np.subtract.outer(columns, columns).T
        fits = np.minimum.outer(heights, widths) >= self._least
        fits &= np.multiply.outer(heights, widths) <= MAX_INSET * region.area
        fits &= inside[:2].any(axis=0) & inside[2:].any(axis=0)
        fits &= np.where(inside, sides, 1).min(axis=0) >= SIDE_COVER
        count = inside.sum(axis=0)
        means = np.where(inside, sides, 0).sum(axis=0) / np.maximum(count, 1)
        clear = np.where(fits, means - np.asarray(INSET_COVER)[np.maximum(count, 2) - 2], -1)
        top, bottom, left, right = np.unravel_index(int(np.argmax(clear)), shape)
        if clear[top, bottom, left, right] < 0:
            return []
        return [Box(rows[top], columns[left], rows[bottom], columns[right])]

    def _seen(self, region: Box, turned: bool) -> tuple[NDArray[np.bool_], Box]:
        """Edges and region, transposed if `turned`."""
        if turned:
            return self._lying.edges, region.turned
        return self._upright.edges, region

    def _detail(self, box: Box, turned: bool) -> float:
        """Mean curvature inside the box, without its border."""
        upright = box.turned if turned else box
        return float(
            self._upright.detail[upright.within(5)].mean()
            + self._lying.detail[upright.turned.within(5)].mean()
        )

    def _is_large(self, box: Box) -> bool:
        return bool(min(box.width, box.height) >= self._least)


def _margins(gray: NDArray[np.int16], region: Box) -> tuple[int, int]:
    """Widths in pixels of the flat margins left and right."""
    rows, columns = region.within()
    shown = gray[:, rows, columns]
    return _margin(shown), _margin(shown[:, :, ::-1])


def _margin(shown: NDArray[np.int16]) -> int:
    level = float(np.median(shown[:, :, 1]))
    if _flat_shares(shown[:, :, :1], level)[0] < FLAT_SHARE:
        return 0  # the usual case; the other columns need not be read
    like = _flat_shares(shown, level)
    width = int(np.argmax(np.append(like, 0.0) < FLAT_SHARE))
    if width >= len(like):
        return 0
    return width if 1 - like[min(width + 2, len(like) - 1)] >= JUMP_SHARE else 0


def _flat_shares(shown: NDArray[np.int16], level: float) -> NDArray[np.float64]:
    """The share of each column's pixels within FLAT_LEVELS of `level`."""
    low, high = math.ceil(level - FLAT_LEVELS), math.floor(level + FLAT_LEVELS)
    shares: NDArray[np.float64] = ((shown >= low) & (shown <= high)).mean(axis=(0, 1))
    return shares


def _one_sided(gray: NDArray[np.int16], column: int) -> bool:
    """Whether the same side of the line is nearly always brighter."""
    steps = (gray[:, :, column + 1] - gray[:, :, column - 2]).astype(np.float32)
    return bool(np.abs(steps.mean()) > ONE_SIDED * np.abs(steps).mean())
