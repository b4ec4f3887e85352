"""Sizes follow the rule of the network's preprocessing, and nothing aliases."""

from __future__ import annotations

import av
import numpy as np
import pytest

from dubl.media.pictures import Orientation, Scaler, layout_for
from dubl.types import Sampling

SQUASH = Sampling(rate_hz=1, min_frames=4, frame_size=96)
CROP = Sampling(rate_hz=1, min_frames=4, frame_size=224, resize="crop")


@pytest.mark.parametrize(
    ("size", "scaled"),
    [
        ((1280, 720), (456, 256)),
        ((720, 1280), (256, 456)),
        ((640, 480), (342, 256)),
        ((256, 256), (256, 256)),
        ((64, 64), (256, 256)),
        ((100, 64), (400, 256)),
    ],
)
def test_cropped_pictures_have_a_short_side_of_eight_sevenths(
    size: tuple[int, int], scaled: tuple[int, int]
) -> None:
    layout = layout_for(*size, sampling=CROP)
    assert (layout.width, layout.height, layout.side) == (*scaled, 224)


def test_the_crop_is_the_center() -> None:
    image = np.zeros((720, 1280, 3), dtype=np.uint8)
    image[360 - 300 : 360 + 300, 640 - 300 : 640 + 300] = 255
    picture = _draw(image, CROP)
    assert picture.shape == (224, 224, 3)
    white = np.argwhere(picture[:, :, 0] > 127)
    top, left = white.min(axis=0)
    bottom, right = 223 - white.max(axis=0)
    assert abs(top - bottom) <= 1
    assert abs(left - right) <= 1


def test_a_fine_pattern_becomes_gray_and_not_a_coarse_one() -> None:
    image = np.indices((700, 900)).sum(axis=0) % 2 * 255
    picture = _draw(np.repeat(image[:, :, None], 3, axis=2).astype(np.uint8), SQUASH)
    assert picture.astype(float).std() < 4


@pytest.mark.parametrize(
    ("orientation", "expected", "turn_deg"),
    [
        (Orientation(), [[1, 2], [3, 4]], 0),
        (Orientation(transposed=True, mirrored_x=True), [[3, 1], [4, 2]], 90),
        (Orientation(mirrored_x=True, mirrored_y=True), [[4, 3], [2, 1]], 180),
        (Orientation(transposed=True, mirrored_y=True), [[2, 4], [1, 3]], 270),
        (Orientation(mirrored_x=True), [[2, 1], [4, 3]], 0),
    ],
)
def test_a_picture_is_turned_clockwise(
    orientation: Orientation, expected: list[list[int]], turn_deg: int
) -> None:
    image = np.repeat(np.array([[1, 2], [3, 4]], dtype=np.uint8)[:, :, None], 3, axis=2)
    assert orientation.apply(image)[:, :, 0].tolist() == expected
    assert orientation.clockwise_deg == turn_deg


def _draw(image: np.ndarray, sampling: Sampling) -> np.ndarray:
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    return Scaler(sampling=sampling, orientation=Orientation()).draw(frame)
