"""Whether two videos move alike in their pixels, once one is laid upon the other.

Features say what a picture is like, and takes of one scene are alike. Here the query's pictures are
registered with the reference's by local features (SIFT: Lowe 2004; the homography by MAGSAC++:
Barath et al. 2020), and of both what stays the same is taken away: what people, water or the camera
did since is left, and only a copy has that alike. What an edit lays over the picture (text, bars, a
logo) stays the same too, and is taken away with it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dubl.types import Float32Array, Uint8Array

SIDE = 256  # of the reference's longer side
LEAST_PICTURES = 3
LEAST_FOUND = 25  # distinct places; mirrored pictures are tried below that
MOST_FEATURES = 400
FAINT = 0.02
DISTINCT = 0.85
TOLERANCE_PX = 4.0
BLUR_PX = 1.5
MOVING_SHARE = 0.3  # of the common picture: where the reference moves most
LEAST_CHANGE = 3.0  # gray levels, as deviation in time
LEAST_PIXELS = 50
EDGE_PX = 9
LEAST_AREA, MOST_AREA = 0.02, 400.0

logger = logging.getLogger(__name__)

cv2.setNumThreads(1)  # each replica has its own share of the cores

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Local features: places float32 [K,2] as (x, y), descriptors float32 [K,128] of length 1."""

    places: Float32Array
    descriptors: Float32Array


@dataclass(frozen=True, slots=True, kw_only=True)
class _Registration:
    """From the query's pixels to the reference's, and how many distinct places agree on it."""

    homography: Matrix
    places: int
    mirrored: bool


def pixel_agreements(
    references: Sequence[Uint8Array], queries: Sequence[Sequence[Uint8Array]]
) -> tuple[float, ...]:
    """How alike the pixels of two videos move, in [0,1], for each row of `queries`; nothing where
    that cannot be told: too few pictures, no place in common, nothing that moves.

    references: gray uint8 [h,w], n of them; queries: rows of what the query shows at the same
    instants, gray uint8 [h',w'] of any shape. The first row is the likeliest: it is laid upon the
    references, and the others as it.
    """
    if len(references) < LEAST_PICTURES:
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
    registration = _registered(targets, queries[0])
    if registration is None:
        return ()
    height, width = targets[0].shape
    common = _common(registration, queries[0][0], targets[0])
    still = np.stack([_smooth(one) for one in targets])
    moves = still - still.mean(axis=0)
    deviation = moves.std(axis=0)
    if not common.any():
        return ()
    least = max(LEAST_CHANGE, float(np.quantile(deviation[common], 1 - MOVING_SHARE)))
    moving = common & (deviation >= least)
    if moving.sum() < LEAST_PIXELS:
        return ()
    theirs = moves[:, moving]
    agreements = []
    for row in queries:
        laid = [_laid(one, registration, (width, height)) for one in row]
        ours = np.stack([_smooth(one)[moving] for one in laid])
        agreements.append(max(0.0, _correlation(ours - ours.mean(axis=0), theirs)))
    return tuple(agreements)


def _registered(
    targets: Sequence[Uint8Array], pictures: Sequence[Uint8Array]
) -> _Registration | None:
    """Of all instants together: an edit is the same all along, or nearly."""
    theirs = [_features(one) for one in targets]
    best = _fitted(_pairs([_features(one) for one in pictures], theirs), mirrored=False)
    if best is None or best.places < LEAST_FOUND:
        turned = [_features(_mirrored(one)) for one in pictures]
        other = _fitted(_pairs(turned, theirs), mirrored=True)
        best = max((one for one in (best, other) if one), key=lambda one: one.places, default=None)
    if best is None or not _is_plausible(best.homography, pictures[0].shape, targets[0].shape):
        return None
    return best


def _features(picture: Uint8Array) -> _Found:
    finder = cv2.SIFT.create(nfeatures=MOST_FEATURES, contrastThreshold=FAINT)
    points, descriptors = finder.detectAndCompute(picture, None)
    if descriptors is None:
        return _Found(
            places=np.empty((0, 2), np.float32), descriptors=np.empty((0, 128), np.float32)
        )
    # RootSIFT (Arandjelović & Zisserman 2012).
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6)
    return _Found(
        places=np.array([point.pt for point in points], dtype=np.float32),
        descriptors=np.sqrt(descriptors / total),
    )


def _pairs(ours: Sequence[_Found], theirs: Sequence[_Found]) -> Float32Array:
    """Places that look alike at the same instant, [P,4] as (x, y) of either side."""
    pairs = [_nearest(one, other) for one, other in zip(ours, theirs, strict=True)]
    return np.concatenate(pairs)


def _nearest(ours: _Found, theirs: _Found) -> Float32Array:
    """Pairs whose second nearest neighbor is clearly further (Lowe's ratio)."""
    if not len(ours.places) or len(theirs.places) < 2:
        return np.empty((0, 4), np.float32)
    cosines = ours.descriptors @ theirs.descriptors.T
    two = np.argpartition(-cosines, 1, axis=1)[:, :2]
    values = np.take_along_axis(cosines, two, axis=1)
    best, second = values.max(axis=1), values.min(axis=1)
    nearest = two[np.arange(len(two)), values.argmax(axis=1)]
    distances = np.sqrt(np.maximum(0.0, 2 - 2 * np.stack([best, second])))
    clear = distances[0] < DISTINCT * distances[1]
    return np.concatenate([ours.places[clear], theirs.places[nearest[clear]]], axis=1)


def _fitted(pairs: Float32Array, *, mirrored: bool) -> _Registration | None:
    if len(pairs) < 8:
        return None
    homography, inside = cv2.findHomography(
        pairs[:, :2], pairs[:, 2:], cv2.USAC_MAGSAC, TOLERANCE_PX, maxIters=3000, confidence=0.999
    )
    if homography is None:
        return None
    agreeing = np.round(pairs[inside.ravel() > 0] / TOLERANCE_PX)
    places = len(np.unique(agreeing, axis=0))  # what stands still is found at each instant
    return _Registration(homography=homography, places=places, mirrored=mirrored)


def _is_plausible(homography: Matrix, ours: tuple[int, ...], theirs: tuple[int, ...]) -> bool:
    """Whether the query's picture becomes a quadrilateral that is neither a line nor endless."""
    height, width = ours
    corners = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], dtype=np.float32)
    laid = cv2.perspectiveTransform(corners, homography)[0].astype(np.float32)
    if not np.isfinite(laid).all() or not cv2.isContourConvex(laid):
        return False
    area = cv2.contourArea(laid) / (theirs[0] * theirs[1])
    return bool(LEAST_AREA <= area <= MOST_AREA)


def _common(
    registration: _Registration, picture: Uint8Array, target: Uint8Array
) -> NDArray[np.bool_]:
    """Where the reference's picture is covered by the query's, without its edge."""
    full = np.full(picture.shape, 255, dtype=np.uint8)
    covered = _laid(full, registration, (target.shape[1], target.shape[0])) > 250
    kernel = np.ones((EDGE_PX, EDGE_PX), dtype=np.uint8)
    inner: NDArray[np.bool_] = cv2.erode(covered.astype(np.uint8), kernel) > 0
    return inner


def _laid(picture: Uint8Array, registration: _Registration, size: tuple[int, int]) -> Uint8Array:
    """The query's picture as it lies upon the reference's, of `size` (width, height)."""
    turned = _mirrored(picture) if registration.mirrored else picture
    laid: Uint8Array = cv2.warpPerspective(turned, registration.homography, size)
    return laid


def _scaled(picture: Uint8Array) -> Uint8Array:
    height, width = picture.shape
    factor = SIDE / max(height, width)
    size = max(8, round(width * factor)), max(8, round(height * factor))
    scaled: Uint8Array = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
    return scaled


def _smooth(picture: Uint8Array) -> Float32Array:
    smooth: Float32Array = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), BLUR_PX)
    return smooth


def _mirrored(picture: Uint8Array) -> Uint8Array:
    return np.ascontiguousarray(picture[:, ::-1])


def _correlation(ours: Float32Array, theirs: Float32Array) -> float:
    """Cosine of all changes of all instants."""
    norm = np.sqrt(float((ours * ours).sum()) * float((theirs * theirs).sum()))
    return float((ours * theirs).sum() / norm) if norm > 0 else 0.0
