"""Registration: a homography from the pictures of one video to those of another.

SIFT features (Lowe 2004), and one homography for all instants by MAGSAC++ (Barath et al. 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dubl.types import Float32Array, Uint8Array

# Chosen, except where a paper is named. Pixels are those of pictures of pixels.SIDE.
MIN_FOUND = 25  # distinct places; with fewer, mirrored and negated pictures are tried too
MAX_FEATURES = 400  # SIFT features of one picture; bounds the time
FAINT = 0.02  # SIFT contrast threshold; half of OpenCV's default, for dark pictures
DISTINCT = 0.85  # ratio of distances to the two nearest neighbors (Lowe 2004 has .8)
TOLERANCE_PX = 4.0  # pixels, greatest error of an inlier
MIN_AREA, MAX_AREA = 0.02, 400.0  # area of the warped query, in areas of the reference
MIN_FOUND_AT_ONCE = 12  # distinct places needed to register a single instant
MAX_DRIFT_PX = 40.0  # pixels that an edit may move a place at one instant
DRIFT_TOLERANCE_PX = 2.5  # pixels, greatest error of an inlier at one instant
MAX_ZOOM = 1.4  # scale that an edit may add at one instant, or its inverse
STILL_PX = 4.0  # pixels that the corners of a still camera may move
STILL_SHARE = 0.9  # share of the instants at which they may move no more

cv2.setNumThreads(1)  # each replica has its own share of the cores

Matrix = NDArray[np.float64]
Change = Callable[[Uint8Array], Uint8Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFeatures:
    """places float32 [K,2] as (x, y) in pixels, descriptors float32 [K,128] of unit length."""

    places: Float32Array
    descriptors: Float32Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A fitted homography, from picture pixels to target pixels.

    change: must be applied to the pictures first. places: number of distinct inlier places.
    pairs: matched places of each instant, float32 [P,4] as (x, y) of picture and target.
    """

    homography: Matrix
    places: int
    change: Change
    pairs: Sequence[Float32Array]


def registered(
    theirs: Sequence[LocalFeatures], pictures: Sequence[Uint8Array], shape: tuple[int, ...]
) -> Registration | None:
    """Registers pictures (gray uint8 [h,w]) onto targets of `shape` with the features `theirs`.

    One homography is fitted to all instants together. None if too few places match.
    """
    best = _fitted(pictures, theirs, _unchanged)
    if best is None or best.places < MIN_FOUND:
        tried = [best, *(_fitted(pictures, theirs, change) for change in (mirror, negative))]
        best = max((one for one in tried if one), key=lambda one: one.places, default=None)
    if best is None or not _is_plausible(best.homography, pictures[0].shape, shape):
        return None
    return best


def placed_each(registration: Registration) -> list[Matrix]:
    """A homography of each instant; the common one where an instant has too few places."""
    drifts = [_drift(pairs, registration.homography) for pairs in registration.pairs]
    return [
        registration.homography if drift is None else drift @ registration.homography
        for drift in drifts
    ]


def camera_stands_still(found: Sequence[LocalFeatures], shape: tuple[int, ...]) -> bool:
    """Whether nearly all pictures of `shape` with these features coincide with the middle one."""
    middle = len(found) // 2
    others = [one for number, one in enumerate(found) if number != middle]
    drifts = [_drift(_nearest(one, found[middle]), np.eye(3)) for one in others]
    corners = _corners(shape)
    still = [
        drift is not None
        and np.abs(cv2.perspectiveTransform(corners, drift) - corners).max() < STILL_PX
        for drift in drifts
    ]
    return bool(sum(still) >= STILL_SHARE * len(still))


def _drift(pairs: Float32Array, homography: Matrix) -> Matrix | None:
    """A similarity transform of target pixels that corrects the homography at one instant.

    None if too few places support it.
    """
    if len(pairs) < MIN_FOUND_AT_ONCE:
        return None
    laid = cv2.perspectiveTransform(pairs[None, :, :2], homography)[0]
    near = np.abs(laid - pairs[:, 2:]).max(axis=1) < MAX_DRIFT_PX
    if near.sum() < MIN_FOUND_AT_ONCE:
        return None
    similarity, inside = cv2.estimateAffinePartial2D(
        laid[near], pairs[near, 2:], ransacReprojThreshold=DRIFT_TOLERANCE_PX, maxIters=1000
    )
    if similarity is None or _distinct(pairs[near][inside.ravel() > 0]) < MIN_FOUND_AT_ONCE:
        return None
    zoom = float(np.hypot(similarity[0, 0], similarity[1, 0]))
    if not 1 / MAX_ZOOM < zoom < MAX_ZOOM:
        return None
    return np.vstack([similarity, [0.0, 0.0, 1.0]])


def mirror(picture: Uint8Array) -> Uint8Array:
    return np.ascontiguousarray(picture[:, ::-1])


def negative(picture: Uint8Array) -> Uint8Array:
    return 255 - picture


def _unchanged(picture: Uint8Array) -> Uint8Array:
    return picture


def local_features(picture: Uint8Array) -> LocalFeatures:
    """SIFT features of a gray picture, uint8 [h,w], as RootSIFT."""
    finder = cv2.SIFT.create(nfeatures=MAX_FEATURES, contrastThreshold=FAINT)
    points, descriptors = finder.detectAndCompute(picture, None)
    if descriptors is None:
        return LocalFeatures(
            places=np.empty((0, 2), np.float32), descriptors=np.empty((0, 128), np.float32)
        )
    # RootSIFT (Arandjelović & Zisserman 2012).
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6)
    return LocalFeatures(
        places=np.array([point.pt for point in points], dtype=np.float32),
        descriptors=np.sqrt(descriptors / total),
    )


def _nearest(ours: LocalFeatures, theirs: LocalFeatures) -> Float32Array:
    """Matched places, [P,4] as (x, y) of either side, that pass Lowe's ratio test."""
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


def _fitted(
    pictures: Sequence[Uint8Array], theirs: Sequence[LocalFeatures], change: Change
) -> Registration | None:
    ours = [local_features(change(one)) for one in pictures]
    at_once = [_nearest(one, other) for one, other in zip(ours, theirs, strict=True)]
    pairs = np.concatenate(at_once)
    if len(pairs) < 8:
        return None
    homography, inside = cv2.findHomography(
        pairs[:, :2], pairs[:, 2:], cv2.USAC_MAGSAC, TOLERANCE_PX, maxIters=3000, confidence=0.999
    )
    if homography is None:
        return None
    places = _distinct(pairs[inside.ravel() > 0])
    return Registration(homography=homography, places=places, change=change, pairs=at_once)


def _distinct(pairs: Float32Array) -> int:
    """Number of distinct pairs; a still place is found at each instant but counts once."""
    return len(np.unique(np.round(pairs / TOLERANCE_PX), axis=0))


def _is_plausible(homography: Matrix, ours: tuple[int, ...], theirs: tuple[int, ...]) -> bool:
    """Whether the warped picture is a convex quadrilateral of a reasonable area."""
    laid = cv2.perspectiveTransform(_corners(ours), homography)[0].astype(np.float32)
    if not np.isfinite(laid).all() or not cv2.isContourConvex(laid):
        return False
    area = cv2.contourArea(laid) / (theirs[0] * theirs[1])
    return bool(MIN_AREA <= area <= MAX_AREA)


def _corners(shape: tuple[int, ...]) -> Float32Array:
    height, width = shape
    return np.array([[[0, 0], [width, 0], [width, height], [0, height]]], dtype=np.float32)
