"""Whether two videos move alike in their pixels, once one is laid upon the other.

Features say what a picture is like, and takes of one scene are alike. Here the query's pictures are
laid upon the reference's (dubl/matching/registration.py), and of both what stays the same is taken
away: what people, water or the camera did since is left, and only a copy has that alike. What an
edit lays over the picture (text, bars, a logo) stays the same too, and is taken away with it;
where it stands the query shows nothing of what the reference does, which is not held against it.

An edit may move the picture (a slow zoom, a screen filmed by hand). So the query is also laid upon
the reference anew at each instant; but only where the reference's camera stands still: else any
picture of the room would be made to follow that camera, and seem to move alike.
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

SIDE = 256  # of the reference's longer side
MIN_PICTURES = 3
BLUR_PX = 1.5
MOVING_SHARE = 0.3  # of the common picture: where the reference moves most
MIN_CHANGE = 3.0  # gray levels, as deviation in time
MIN_PIXELS = 50
# Where the query changes by less than a share of what it does elsewhere, something lies over it;
# over so much of the picture at most.
COVERED_CHANGE, MAX_COVERED = 0.3, 0.6
EDGE_PX = 9

logger = logging.getLogger(__name__)


def pixel_agreements(
    references: Sequence[Uint8Array], queries: Sequence[Sequence[Uint8Array]]
) -> tuple[float, ...]:
    """How alike the pixels of two videos move, in [0,1], for each row of `queries`; nothing where
    that cannot be told: too few pictures, no place in common, nothing that moves.

    references: gray uint8 [h,w], n of them; queries: rows of what the query shows at the same
    instants, gray uint8 [h',w'] of any shape. The first row is the likeliest: it is laid upon the
    references, and the others as it.
    """
    if len(references) < MIN_PICTURES:
        return ()
    try:
        return _agreements(references, queries)
    except cv2.error as exc:  # places that OpenCV makes nothing of
        logger.warning("pixels cannot be compared: %s", exc)
        return ()


def _agreements(
    references: Sequence[Uint8Array], queries: Sequence[Sequence[Uint8Array]]
) -> tuple[float, ...]:
    targets = [_scaled(one) for one in references]
    found = [local_features(one) for one in targets]
    registration = registered(found, queries[0], targets[0].shape)
    if registration is None:
        return ()
    if registration.mirrored:
        queries = [[mirror(one) for one in row] for row in queries]
    agreements = _compared(targets, queries, [registration.homography] * len(targets))
    if not agreements or not camera_stands_still(found, targets[0].shape):
        return agreements
    following = _compared(targets, queries, placed_each(registration))
    return tuple(map(max, agreements, following)) if following else agreements


def _compared(
    targets: Sequence[Uint8Array],
    queries: Sequence[Sequence[Uint8Array]],
    placements: Sequence[Matrix],
) -> tuple[float, ...]:
    """By the homography of each instant, from the query's pixels to the target's."""
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
    agreements = []
    for row in queries:
        laid = [
            cv2.warpPerspective(one, placement, (width, height))
            for one, placement in zip(row, placements, strict=True)
        ]
        ours = np.stack([_smooth(one)[moving] for one in laid])
        changes = ours - ours.mean(axis=0)
        bare = _uncovered(changes.std(axis=0) / deviation[moving])
        agreements.append(max(0.0, _correlation(changes[:, bare], theirs[:, bare])))
    return tuple(agreements)


def _uncovered(ratio: Float32Array) -> NDArray[np.bool_]:
    """The places over which no caption or logo stands still, by how much the query changes there
    for what the reference does, [P]."""
    least = min(COVERED_CHANGE * np.median(ratio), np.quantile(ratio, MAX_COVERED))
    uncovered: NDArray[np.bool_] = ratio >= least
    return uncovered


def _common(
    placements: Sequence[Matrix], shape: tuple[int, ...], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Where the reference's pictures, of `size` (width, height), are covered by the query's at
    every instant, without their edge."""
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


def _correlation(ours: Float32Array, theirs: Float32Array) -> float:
    """Cosine of all changes of all instants."""
    norm = np.sqrt(float((ours * ours).sum()) * float((theirs * theirs).sum()))
    return float((ours * theirs).sum() / norm) if norm > 0 else 0.0
