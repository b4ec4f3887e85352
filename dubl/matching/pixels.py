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

import cv2
import numpy as np
from numpy.typing import NDArray

from dubl.matching.registration import (
    Matrix,
    camera_stands_still,
    local_features,
    mirror,
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

logger = logging.getLogger(__name__)


def pixel_correlations(
    references: Sequence[Uint8Array], queries: Sequence[Sequence[Uint8Array]]
) -> tuple[float, ...]:
    """Pixel correlation with the reference, in [0,1], for each row of `queries`.

    Empty if it cannot be measured: too few pictures, no registration, no motion.

    references: n gray pictures, uint8 [h,w]. queries: rows of n gray pictures of the query at the
    same instants, uint8 [h',w']. Each row is one hypothesis about the times; the first one is the
    most likely. It is registered, and the other rows use its homography.
    """
    if len(references) < MIN_PICTURES:
        return ()
    try:
        return _correlations(references, queries)
    except cv2.error as exc:  # degenerate point sets
        logger.warning("pixels were not compared: OpenCV failed: %s", exc)
        return ()


def _correlations(
    references: Sequence[Uint8Array], queries: Sequence[Sequence[Uint8Array]]
) -> tuple[float, ...]:
    targets = [_scaled(one) for one in references]
    found = [local_features(one) for one in targets]
    registration = registered(found, queries[0], targets[0].shape)
    if registration is None:
        return ()
    if registration.mirrored:
        queries = [[mirror(one) for one in row] for row in queries]
    correlations = _compared(targets, queries, [registration.homography] * len(targets))
    if not correlations or not camera_stands_still(found, targets[0].shape):
        return correlations
    following = _compared(targets, queries, placed_each(registration))
    return tuple(map(max, correlations, following)) if following else correlations


def _compared(
    targets: Sequence[Uint8Array],
    queries: Sequence[Sequence[Uint8Array]],
    placements: Sequence[Matrix],
) -> tuple[float, ...]:
    """Correlations with `placements`: homographies of each instant, query to target pixels."""
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
    correlations = []
    for row in queries:
        laid = [
            cv2.warpPerspective(one, placement, (width, height))
            for one, placement in zip(row, placements, strict=True)
        ]
        ours = np.stack([_smooth(one)[moving] for one in laid])
        changes = ours - ours.mean(axis=0)
        bare = _uncovered(changes.std(axis=0) / deviation[moving])
        correlations.append(max(0.0, _cosine(changes[:, bare], theirs[:, bare])))
    return tuple(correlations)


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
