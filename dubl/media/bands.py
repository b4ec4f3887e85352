"""Sound as levels of bands of frequency, made block by block.

Pitch is heard on a logarithmic scale, so the bands are spaced like that: a change of pitch moves
them all by the same number.
"""

from __future__ import annotations

import numpy as np

from dubl.types import Float32Array, Uint8Array

# Chosen: what a telephone keeps, and half the cost of 16 kHz.
SAMPLE_RATE_HZ = 8000
HOP = 320  # samples from one row to the next
STEP_S = HOP / SAMPLE_RATE_HZ
BANDS = 36
_WINDOW = 1024  # samples that a row looks at, around its middle; chosen
_LOWEST_HZ, _HIGHEST_HZ = 180.0, 3700.0  # middles of the outermost bands, inside a telephone's
FLOOR_DB = -100.0  # level 0, against full scale
LEVELS_PER_DB = 2.5  # 255 is 2 dB above full scale
_BLOCK = 50  # rows made at once, bounds memory


def _filters() -> Float32Array:
    """Triangles [513,B] over the power spectrum, each with the sum 1."""
    ratio = (_HIGHEST_HZ / _LOWEST_HZ) ** (1 / (BANDS - 1))
    middles = _LOWEST_HZ * ratio ** np.arange(-1, BANDS + 1)
    hertz = np.arange(_WINDOW // 2 + 1)[:, None] * SAMPLE_RATE_HZ / _WINDOW
    rising = (hertz - middles[:-2]) / (middles[1:-1] - middles[:-2])
    falling = (middles[2:] - hertz) / (middles[2:] - middles[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    filters: Float32Array = (triangles / triangles.sum(axis=0)).astype(np.float32)
    return filters


_FILTERS = _filters()
_TAPER = np.hanning(_WINDOW).astype(np.float32)
_SCALE = np.float32(4.0 / _TAPER.sum() ** 2)  # a tone at full scale has about 0 dB


class BandMaker:
    """Makes rows from samples as they come; row k is about the samples k * HOP ..(k+1) * HOP."""

    def __init__(self) -> None:
        self._held: Float32Array = np.zeros((_WINDOW - HOP) // 2, np.float32)
        self._rows: list[Uint8Array] = []

    def add(self, samples: Float32Array) -> None:
        """Samples of one channel at SAMPLE_RATE_HZ, full scale is 1."""
        self._held = np.concatenate([self._held, samples])
        while len(self._held) >= _WINDOW + (_BLOCK - 1) * HOP:
            self._make(_BLOCK)

    def finish(self) -> Uint8Array:
        """All rows [T,B]. A last part of a hop is left out."""
        self._held = np.concatenate([self._held, np.zeros((_WINDOW - HOP) // 2, np.float32)])
        left = (len(self._held) - _WINDOW) // HOP + 1
        if left > 0:
            self._make(left)
        return np.concatenate(self._rows) if self._rows else np.empty((0, BANDS), np.uint8)

    def _make(self, count: int) -> None:
        windows = np.lib.stride_tricks.sliding_window_view(self._held, _WINDOW)[::HOP][:count]
        spectrum = np.fft.rfft(windows * _TAPER, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32) * _SCALE
        decibels = 10 * np.log10(power @ _FILTERS + np.float32(1e-12))
        levels = np.clip((decibels - FLOOR_DB) * LEVELS_PER_DB, 0, 255)
        self._rows.append(levels.astype(np.uint8))
        self._held = self._held[count * HOP :]


def bands_of(samples: Float32Array) -> Uint8Array:
    """Levels [T,B] of a whole sound of one channel at SAMPLE_RATE_HZ."""
    maker = BandMaker()
    maker.add(samples)
    return maker.finish()
