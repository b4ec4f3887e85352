"""Frame features of imaginary footage: shots that drift, cut one after another.

A "film" gives unit vectors for any second, so that copies can be sampled at other times, at
another speed, backwards or in pieces, as a decoder would.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dubl.types import Float32Array, Float64Array

DIMS = 128
Film = Callable[[Float64Array], Float64Array]


def film(seed: int, *, shot_s: float = 4.0, drift: float = 1.5) -> Film:
    """Shots of about `shot_s` seconds; `drift` is how far a shot moves, 0 stands still."""

    def at(times_s: Float64Array) -> Float64Array:
        rng = np.random.default_rng(seed)
        borders = np.cumsum(rng.uniform(0.6, 1.4, size=4000) * shot_s)
        starts = np.concatenate([[0.0], borders])
        bases = rng.normal(size=(512, DIMS))
        moves = rng.normal(size=(512, 2, DIMS)) * drift
        shots = np.searchsorted(borders, times_s, side="right")
        phase = (times_s - starts[shots])[:, None] * 0.5
        values = bases[shots % 512]
        values = values + np.sin(phase) * moves[shots % 512, 0]
        values = values + np.cos(0.8 * phase) * moves[shots % 512, 1]
        return unit(values)

    return at


def unit(values: Float64Array) -> Float64Array:
    normalized: Float64Array = values / np.linalg.norm(values, axis=-1, keepdims=True)
    return normalized


def noisy(features: Float64Array, *, noise: float = 0.5, seed: int = 1) -> Float64Array:
    """What an edit leaves: cosine to the original about 1 / sqrt(1 + noise²)."""
    rng = np.random.default_rng(seed)
    return unit(features + rng.normal(size=features.shape) * noise / np.sqrt(DIMS))


def frame_times(duration_s: float, *, rate_hz: float, min_frames: int = 8) -> Float64Array:
    count = max(int(np.ceil(duration_s * rate_hz - 1e-6)), min_frames)
    step = min(1.0 / rate_hz, duration_s / count)
    return np.arange(count) * step


def cosines(query: Float64Array, reference: Float64Array) -> Float32Array:
    matrix: Float32Array = np.clip(query @ reference.T, 0.0, 1.0).astype(np.float32)
    return matrix
