"""Pixel correlation: whether the pixels of two registered videos change in the same way.

Features cannot separate a copy from another take of the same scene. Pixels can: the query's
pictures are warped onto the reference's (dubl/matching/registration.py), and the mean over time is
subtracted on both sides. The rest is motion, which only a copy shares. Constant overlays (text,
bars, a logo) are subtracted too, and the places they cover are left out.

Some edits move the picture (a slow zoom, a screen filmed by hand), so the query is also registered
at each instant separately. This is done only if the reference's camera stands still. Otherwise any
picture of the room would follow the camera and seem to move in the same way.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dubl.matching.motion import TINY, lead_of
from dubl.matching.registration import (
    Matrix,
    camera_stands_still,
    local_features,
    placed_each,
    registered,
)
from dubl.types import Float32Array, Uint8Array

# All values are chosen. The calibration's `pixels` weights were fitted with them.
SIDE = 256  # pixels, the reference's longer side
MIN_PICTURES = 3  # pictures needed for a correlation in time
BLUR_PX = 1.5  # standard deviation; hides small registration errors
MOVING_SHARE = 0.3  # share of the common picture: where the reference moves most
MIN_CHANGE = 3.0  # gray levels, standard deviation in time; less is compression noise
MIN_PIXELS = 50  # moving pixels needed for a correlation
COVERED_CHANGE = 0.3  # share of the median relative change; below it an overlay is assumed
MAX_COVERED = 0.6  # share of the moving pixels that overlays may cover
EDGE_PX = 9  # pixels eroded from the border of the common picture
MIN_PROVING_SHARE = 0.01  # share of the common picture that moves; a clock in it takes less
MIN_PROVING_LEAD = 0.5  # lead of the changes; a single cut has less
CELL_PX = 16  # side of the places that local_correlation compares
MIN_CELL_PIXELS = 30  # changing pixels needed in a place
OTHER_SHARE = 0.2  # share of the places that a copy may show otherwise: text, stickers
# Chosen on train clips. Of 112 edited copies 105 reach .65 in nearly all places; the others are
# under text or stickers, or at another speed. Takes of one scene reach .6 at most.
MIN_LOCAL_CORRELATION = 0.62
# Chosen on train clips. Half the places of a copy reach .98, those of slow zooms, filmed screens
# and insets .81 to .95; two runs of one robot program .97, two programs in a terminal .95.
MIN_MEDIAN_CORRELATION = 0.975

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelMotion:
    """How the pixels of both sides change together.

    correlation: in [0,1]. share: of the common picture that moves. lead: in [0,1], how far each
    instant's change is more similar to the same instant of the other side than to other instants.
    """

    correlation: float
    share: float
    lead: float

    @property
    def proves(self) -> bool:
        """Whether enough moves, and often enough: a clock or one cut proves no copy."""
        return self.share >= MIN_PROVING_SHARE and self.lead >= MIN_PROVING_LEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCorrelation:
    """Correlations, in [-1,1], of the places that change.

    most: what all reach but OTHER_SHARE of them. median: what half of them reach.
    """

    most: float
    median: float

    @property
    def alike(self) -> bool:
        """Whether nearly all places change alike."""
        return self.most >= MIN_LOCAL_CORRELATION

    @property
    def equal(self) -> bool:
        """Whether they do, and half of them almost equally."""
        return self.alike and self.median >= MIN_MEDIAN_CORRELATION


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedPictures:
    """Pictures of a query on those of a reference.

    targets: n of the reference. rows: each n of the query at the same instants. placements: ways to
    lay a row; in each, a homography of each instant, from query to target pixels.
    """

    targets: Sequence[Uint8Array]
    rows: Sequence[Sequence[Uint8Array]]
    placements: Sequence[Sequence[Matrix]]

    @property
    def motions(self) -> tuple[PixelMotion, ...]:
        """Common motion of the pixels, for each row. Empty: too little moves."""
        ways = [_compared(self.targets, self.rows, one) for one in self.placements]
        if not ways[0]:
            return ()
        each_row = zip(*(way for way in ways if way), strict=True)
        return tuple(max(row, key=lambda one: one.correlation) for row in each_row)

    def by_place(self, row: int) -> LocalCorrelation | None:
        """The correlation of each place by itself. None: nothing changes.

        A correlation over the whole picture is high if a camera takes the same way through a room
        where other things happen. In a copy each place changes like its original.
        """
        values = [_by_place(self.targets, self.rows[row], one) for one in self.placements]
        measured = [one for one in values if one is not None]
        return max(measured, key=lambda one: one.most, default=None)


def registered_pictures(
    references: Sequence[Uint8Array], queries: Sequence[Sequence[Uint8Array]]
) -> PlacedPictures | None:
    """The pictures by their registration. None: too few pictures, or they show too little.

    references: n gray pictures, uint8 [h,w]. queries: rows of n gray pictures of the query at the
    same instants, uint8 [h',w']. Each row is one hypothesis about the times; the first one is the
    most likely. It is registered, and the other rows use its homography.
    """
    if len(references) < MIN_PICTURES:
        return None
    try:
        return _registered(references, queries)
    except cv2.error as exc:  # degenerate point sets
        logger.warning("pixels were not compared: OpenCV failed: %s", exc)
        return None


def _registered(
    references: Sequence[Uint8Array], queries: Sequence[Sequence[Uint8Array]]
) -> PlacedPictures | None:
    targets = [_scaled(one) for one in references]
    found = [local_features(one) for one in targets]
    registration = registered(found, queries[0], targets[0].shape)
    if registration is None:
        return None
    placements = [[registration.homography] * len(targets)]
    if camera_stands_still(found, targets[0].shape):
        placements.append(placed_each(registration))
    rows = [[registration.change(one) for one in row] for row in queries]
    return PlacedPictures(targets=targets, rows=rows, placements=placements)


def unregistered_pictures(
    references: Sequence[Uint8Array], queries: Sequence[Sequence[Uint8Array]]
) -> PlacedPictures:
    """The whole pictures as they lie on each other. Arguments: as in registered_pictures."""
    targets = [_scaled(one) for one in references]
    height, width = targets[0].shape
    rows = [
        [np.asarray(cv2.resize(one, (width, height)), dtype=np.uint8) for one in row]
        for row in queries
    ]
    return PlacedPictures(targets=targets, rows=rows, placements=[[np.eye(3)] * len(targets)])


def _by_place(
    targets: Sequence[Uint8Array],
    queries: Sequence[Uint8Array],
    placements: Sequence[Matrix],
) -> LocalCorrelation | None:
    height, width = targets[0].shape
    common = _common(placements, queries[0].shape, (width, height))
    theirs = _changes(targets)
    ours = _changes(
        [
            cv2.warpPerspective(one, placement, (width, height))
            for one, placement in zip(queries, placements, strict=True)
        ]
    )
    changing = common & (np.maximum(ours.std(axis=0), theirs.std(axis=0)) >= MIN_CHANGE)
    values = [
        _cosine(ours[:, cell], theirs[:, cell])
        for top in range(0, height, CELL_PX)
        for left in range(0, width, CELL_PX)
        if (cell := _cell(changing, top, left)).sum() >= MIN_CELL_PIXELS
    ]
    if not values:
        return None
    most, median = np.quantile(values, [OTHER_SHARE, 0.5]).tolist()
    return LocalCorrelation(most=most, median=median)


def _cell(pixels: NDArray[np.bool_], top: int, left: int) -> NDArray[np.bool_]:
    """Those of the pixels [h,w] in one place."""
    cell = np.zeros_like(pixels)
    cell[top : top + CELL_PX, left : left + CELL_PX] = True
    return cell & pixels


def _changes(pictures: Sequence[Uint8Array]) -> Float32Array:
    """Deviations [n,h,w] from the mean over time."""
    smooth = np.stack([_smooth(one) for one in pictures])
    changes: Float32Array = smooth - smooth.mean(axis=0)
    return changes


def _compared(
    targets: Sequence[Uint8Array],
    queries: Sequence[Sequence[Uint8Array]],
    placements: Sequence[Matrix],
) -> tuple[PixelMotion, ...]:
    """The motion with `placements`: homographies of each instant, query to target pixels."""
    height, width = targets[0].shape
    common = _common(placements, queries[0][0].shape, (width, height))
    still = np.stack([_smooth(one) for one in targets])
    moves = still - still.mean(axis=0)
    deviation = moves.std(axis=0)
    if not common.any():
        return ()
    least = max(MIN_CHANGE, float(np.quantile(deviation[common], 1 - MOVING_SHARE)))
    moving = common & (deviation >= least)
    if moving.sum() < MIN_PIXELS:
        return ()
    theirs = moves[:, moving]
    share = float(moving.sum() / common.sum())
    motions = []
    for row in queries:
        laid = [
            cv2.warpPerspective(one, placement, (width, height))
            for one, placement in zip(row, placements, strict=True)
        ]
        ours = np.stack([_smooth(one)[moving] for one in laid])
        changes = ours - ours.mean(axis=0)
        bare = _uncovered(changes.std(axis=0) / deviation[moving])
        motions.append(_motion(changes[:, bare], theirs[:, bare], share))
    return tuple(motions)


def _motion(ours: Float32Array, theirs: Float32Array, share: float) -> PixelMotion:
    """`ours`, `theirs`: changes [n,P] of both sides."""
    lengths = [np.linalg.norm(one, axis=1, keepdims=True) + TINY for one in (ours, theirs)]
    likeness = (ours / lengths[0]) @ (theirs / lengths[1]).T
    return PixelMotion(
        correlation=max(0.0, _cosine(ours, theirs)), share=share, lead=lead_of(likeness)
    )


def _uncovered(ratio: Float32Array) -> NDArray[np.bool_]:
    """Places without a constant overlay, [P].

    `ratio`: change of the query at each place divided by that of the reference, [P].
    """
    least = min(COVERED_CHANGE * np.median(ratio), np.quantile(ratio, MAX_COVERED))
    uncovered: NDArray[np.bool_] = ratio >= least
    return uncovered


def _common(
    placements: Sequence[Matrix], shape: tuple[int, ...], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Pixels [h,w] that the warped query covers at every instant, without the border.

    `shape`: of the query's pictures; `size`: (width, height) of the reference's.
    """
    full = np.full(shape, 255, dtype=np.uint8)
    covered = [cv2.warpPerspective(full, one, size) > 250 for one in placements]
    kernel = np.ones((EDGE_PX, EDGE_PX), dtype=np.uint8)
    everywhere = np.all(covered, axis=0).astype(np.uint8)
    inner: NDArray[np.bool_] = cv2.erode(everywhere, kernel) > 0
    return inner


def _scaled(picture: Uint8Array) -> Uint8Array:
    height, width = picture.shape
    factor = SIDE / max(height, width)
    size = max(8, round(width * factor)), max(8, round(height * factor))
    scaled: Uint8Array = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
    return scaled


def _smooth(picture: Uint8Array) -> Float32Array:
    smooth: Float32Array = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), BLUR_PX)
    return smooth


def _cosine(ours: Float32Array, theirs: Float32Array) -> float:
    """Cosine between the changes of both sides, over all instants and places."""
    norm = np.sqrt(float((ours * ours).sum()) * float((theirs * theirs).sum()))
    return float((ours * theirs).sum() / norm) if norm > 0 else 0.0
