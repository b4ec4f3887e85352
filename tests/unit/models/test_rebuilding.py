"""What features give back of a picture: its rough light, and no shapes (threat model)."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dubl.assembly import SHIPPED_WEIGHTS
from dubl.footage.textures import procedural_picture
from dubl.models.openvino_network import OpenVinoNetwork

PICTURES, HELD_OUT, SIDE = 160, 40, 160
PENALTY = 10.0  # of the regression; among 1 to 100 the best at four cells a side

Numbers = NDArray[np.float64]


def cells(pictures: Numbers, count: int) -> Numbers:
    """Means of `count` by `count` cells, at full size again: [N,32,32]."""
    side = 32 // count
    means = pictures.reshape(len(pictures), count, side, count, side).mean((2, 4))
    return means.repeat(side, 1).repeat(side, 2)


def explained(shown: Numbers, rebuilt: Numbers, count: int) -> float:
    """Share of the variance that `count` cells a side have beyond half as many."""
    wanted, found = (cells(one, count) - cells(one, count // 2) for one in (shown, rebuilt))
    return float(1 - ((wanted - found) ** 2).sum() / (wanted**2).sum())


@pytest.mark.slow
def test_a_linear_decoder_finds_no_shapes() -> None:
    """Ridge regression from all features of a frame to its gray picture of 32 x 32."""
    rng = np.random.default_rng(0)
    frames = np.stack([procedural_picture(rng, size=SIDE) for _ in range(PICTURES)])
    network = OpenVinoNetwork(SHIPPED_WEIGHTS / "dubl-compact", frame_size=SIDE, threads=1)
    parts = [network.describe(frames[first : first + 16]) for first in range(0, PICTURES, 16)]
    features = np.concatenate(
        [np.hstack([one[0], one[1].reshape(len(one[0]), -1)]) for one in parts]
    ).astype(np.float64)
    gray = frames.mean(3, dtype=np.float64).reshape(PICTURES, 32, 5, 32, 5).mean((2, 4))
    known, asked = features[HELD_OUT:], features[:HELD_OUT]
    mean, light = known.mean(0), gray[HELD_OUT:].mean(0)
    kernel = (known - mean) @ (known - mean).T + PENALTY * np.eye(len(known))
    weights = np.linalg.solve(kernel, (gray[HELD_OUT:] - light).reshape(len(known), -1))
    rebuilt = ((asked - mean) @ (known - mean).T @ weights).reshape(-1, 32, 32) + light
    shares = {count: explained(gray[:HELD_OUT], rebuilt, count) for count in (2, 4, 8, 16, 32)}
    assert max(shares[count] for count in (8, 16, 32)) < 0.15, shares
    assert shares[4] < 0.5, shares
