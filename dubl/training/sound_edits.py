"""Edits of sound as they show in the levels of bands: quick enough for every training step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dubl.media.bands import BANDS, FLOOR_DB, LEVELS_PER_DB, STEP_S
from dubl.sound.patches import ROWS
from dubl.types import Uint8Array

Levels = NDArray[np.float64]  # [M,ROWS,B] or one of them, dB

# All values are chosen.
_SHIFT_ROWS = 4.0  # rows by which either side of a pair is moved: windows lie half a second apart
_LN_SPEED = 0.25  # speeds from 0.78 to 1.28
_LN_TAPE = (0.05, 0.27)
_PITCH_BANDS = 1.7  # two semitones are 1.35 bands
_BANDS_PER_OCTAVE = 8.1
_SNR_DB = (-4.0, 20.0)


class Pairs:
    """Draws windows and edited versions of them from `tracks`, each uint8 [T,B]."""

    def __init__(self, tracks: Sequence[Uint8Array], rng: np.random.Generator) -> None:
        self._tracks = [one for one in tracks if len(one) > 1.5 * ROWS]
        self._rng = rng
        weights = np.array([1.0 if len(one) > 8 * ROWS else 0.6 for one in self._tracks])
        self._weights = weights / weights.sum()

    def draw(self, count: int) -> tuple[Levels, Levels]:
        """`count` windows and their edited versions. Two of each track: what differs must count."""
        rng, plain, changed = self._rng, [], []
        for track in self._drawn(count // 2):
            last = len(track) - ROWS / 2
            first = rng.uniform(ROWS / 2, last)
            for middle in (first, (first + rng.uniform(40, 200)) % len(track)):
                at = float(np.clip(middle, ROWS / 2, last))
                plain.append(self._window(track, at))
                speed = np.exp(rng.uniform(-_LN_SPEED, _LN_SPEED)) if rng.random() < 0.6 else 1.0
                pitch = rng.uniform(-_PITCH_BANDS, _PITCH_BANDS) if rng.random() < 0.45 else 0.0
                if rng.random() < 0.35:  # both change, as when a tape runs faster
                    speed = np.exp(rng.choice([-1, 1]) * rng.uniform(*_LN_TAPE))
                    pitch = _BANDS_PER_OCTAVE * np.log2(speed)
                changed.append(self._window(track, at, speed, pitch))
        return self._edited(np.stack(plain), 0.0), self._edited(np.stack(changed), 1.0)

    def _drawn(self, count: int) -> list[Uint8Array]:
        chosen = self._rng.choice(len(self._tracks), count, p=self._weights)
        return [self._tracks[place] for place in chosen]

    def _window(
        self, track: Uint8Array, middle: float, speed: float = 1.0, pitch: float = 0.0
    ) -> Levels:
        middle += self._rng.uniform(-_SHIFT_ROWS, _SHIFT_ROWS)
        rows = middle + (np.arange(ROWS) - (ROWS - 1) / 2) * speed
        levels = _between(track, rows)
        if pitch:
            levels = _between(levels.T, np.arange(BANDS) - pitch).T
        return levels / LEVELS_PER_DB + FLOOR_DB

    def _edited(self, levels: Levels, strength: float) -> Levels:
        """Room, noise or another sound, filters, a codec's holes, compression, loudness."""
        rng, count = self._rng, len(levels)
        power = self._in_room(10 ** (levels / 10), strength)
        noise = 10 ** (self._noises(count) / 10)
        gain = power.mean((1, 2), keepdims=True) / (noise.mean((1, 2), keepdims=True) + 1e-12)
        gain *= 10 ** (-rng.uniform(*_SNR_DB, (count, 1, 1)) / 10)
        power = power + np.where(self._some(count, 0.1 + 0.65 * strength), gain * noise, 0)
        levels = self._filtered(10 * np.log10(power + 1e-10), strength)
        levels = self._with_holes(levels, strength)
        shaken = self._some(count, 0.5)
        levels = levels + np.where(shaken, rng.normal(0, 1.2, levels.shape), 0)
        mean = levels.mean((1, 2), keepdims=True)
        pressed = mean + (levels - mean) * rng.uniform(0.55, 1, (count, 1, 1))
        levels = np.where(self._some(count, 0.2 * strength), pressed, levels)
        return np.clip(levels + rng.uniform(-15, 5, (count, 1, 1)), FLOOR_DB, 2.0)

    def _some(self, count: int, share: float) -> NDArray[np.bool_]:
        return (self._rng.random(count) < share)[:, None, None]

    def _in_room(self, power: Levels, strength: float) -> Levels:
        rng, count = self._rng, len(power)
        wet = 10 ** -rng.uniform(0.2, 1.6, (count, 1, 1))
        wet = np.minimum(np.where(self._some(count, 0.35 * strength), wet, 0.0), 0.5)
        kept = 10 ** (-6 * STEP_S / rng.uniform(0.15, 1.2, (count, 1)))  # -60 dB in that time
        tail, tails = np.zeros(power[:, 0].shape), np.empty_like(power)
        for row in range(ROWS):
            tail = kept * tail + power[:, row]
            tails[:, row] = tail
        return np.asarray(power * (1 - wet) + wet * tails)

    def _noises(self, count: int) -> Levels:
        """Other tracks, as talk over music, or steady noise of any color."""
        rng = self._rng
        found = []
        for track in self._drawn(count):
            if rng.random() < 0.55:
                found.append(self._window(track, rng.uniform(ROWS / 2, len(track) - ROWS / 2)))
            else:
                shape = rng.uniform(1.5, 6)
                chi = 10 * np.log10(rng.gamma(shape, 1 / shape, (ROWS, BANDS)) + 1e-6)
                found.append(self._curve(5, 8.0) - 40 + chi)
        return np.stack(found)

    def _curve(self, knots: int, spread_db: float) -> NDArray[np.float64]:
        places = np.linspace(0, BANDS - 1, knots)
        return np.interp(np.arange(BANDS), places, self._rng.normal(0, spread_db, knots))

    def _filtered(self, levels: Levels, strength: float) -> Levels:
        rng, count = self._rng, len(levels)
        curves = np.stack([self._curve(6, 6.0) for _ in range(count)])[:, None]
        levels = levels + np.where(self._some(count, 0.2 + 0.4 * strength), curves, 0)
        bands, slope = np.arange(BANDS), rng.uniform(1.5, 5, (count, 1, 1))
        low, high = rng.uniform(0, 12, (count, 1, 1)), rng.uniform(20, 35, (count, 1, 1))
        below, above = slope * np.maximum(0, low - bands), slope * np.maximum(0, bands - high)
        levels = levels - np.where(self._some(count, 0.25 * strength), below, 0)
        return np.asarray(levels - np.where(self._some(count, 0.3 * strength), above, 0))

    def _with_holes(self, levels: Levels, strength: float) -> Levels:
        """Weak bands are lost, as in a codec that has too few bits."""
        rng, count = self._rng, len(levels)
        least = levels.max(2, keepdims=True) - rng.uniform(15, 40, (count, 1, 1))
        share = rng.uniform(0.3, 1, (count, 1, 1))
        lost = (levels < least) & (rng.random(levels.shape) < share)
        lost &= self._some(count, 0.25 + 0.15 * strength)
        return np.where(lost, np.minimum(levels, least - rng.uniform(0, 20, least.shape)), levels)


def _between(values: Levels | Uint8Array, places: NDArray[np.floating]) -> Levels:
    """Rows of values [T,C] at places between rows, [P,C]; the first and last row go on."""
    places = np.clip(places, 0, len(values) - 1.001)
    low = places.astype(np.int64)
    share = (places - low)[:, None]
    return np.asarray(values[low] * (1 - share) + values[low + 1] * share)
