"""Windows of sound as the network reads them, and whether they prove anything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubl.media.bands import FLOOR_DB, LEVELS_PER_DB, STEP_S
from dubl.types import Float32Array, Float64Array, Uint8Array

ROWS = 50  # of bands, in one window
WINDOW_S = ROWS * STEP_S
_MIN_ROWS = 40  # of sound that has a window; chosen

# Fitted by eye to made-up hums, noises, clicks and beeps, and to training clips.
_RANGE_DB = 50.0  # below the loudest level of a window nothing is read
_MIN_LOUDEST_DB = -60.0  # of a window, against full scale; below it is silence
_MIN_CHANGE = 0.24  # ten dB, deviation of levels from their band and their moment: hum, noise .20
_MIN_BANDS = 8.0  # number of bands that share the change: a beep has 6


def cut(bands: Uint8Array, step_s: float) -> tuple[Float64Array, NDArray[np.int64]]:
    """Starts of windows in seconds from the first row [M], and their first rows [M].

    Sound that is a little shorter than a window has one.
    """
    last_s = max(0, len(bands) - ROWS) * STEP_S if len(bands) >= _MIN_ROWS else -1.0
    starts_s = np.arange(0.0, last_s + 1e-9, step_s)
    return starts_s, np.rint(starts_s / STEP_S).astype(np.int64)


def patches_at(bands: Uint8Array, rows: NDArray[np.int64]) -> Float32Array:
    """Levels [M,ROWS,B] in dB against full scale. Of sound that is too short the last row lasts."""
    places = np.minimum(rows[:, None] + np.arange(ROWS), len(bands) - 1)
    levels = bands[places].astype(np.float32)
    return np.asarray(levels / np.float32(LEVELS_PER_DB) + np.float32(FLOOR_DB))


def prepared(patches: Float32Array) -> Float32Array:
    """Patches [M,ROWS,B] without loudness and coloring: each band's mean is 0. Unit: 10 dB."""
    floor = patches.max(axis=(1, 2), keepdims=True) - np.float32(_RANGE_DB)
    heard = np.maximum(patches, floor)
    return np.asarray((heard - heard.mean(axis=1, keepdims=True)) / 10, np.float32)


def prove(patches: Float32Array, inputs: Float32Array) -> NDArray[np.bool_]:
    """Whether windows prove anything, [M]: not silence, hum, steady noise, clicks, beeps.

    patches: as cut; inputs: as prepared.
    """
    change = inputs - inputs.mean(axis=2, keepdims=True)
    shares = inputs.var(axis=1)
    bands = shares.sum(axis=1) ** 2 / np.maximum((shares**2).sum(axis=1), 1e-9)
    loud = patches.max(axis=(1, 2)) >= _MIN_LOUDEST_DB
    return np.asarray(loud & (change.std(axis=(1, 2)) >= _MIN_CHANGE) & (bands >= _MIN_BANDS))
