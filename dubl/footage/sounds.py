"""Sounds made by rules: music, noisy scenes, and babble like speech. All mono, full scale is 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 8000

Samples = NDArray[np.float64]  # [N]
Random = np.random.Generator

_PEAK = 0.7
_HIGHEST_HZ = 3900.0  # below half the rate
_SCALES = (
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 3, 5, 7, 8, 10),
    (0, 2, 4, 7, 9),
    (0, 3, 5, 6, 7, 10),
    tuple(range(12)),
    (0, 1, 4, 5, 7, 8, 11),
)
# First and second formants of vowels in Hz.
_VOWELS = ((730, 1090), (270, 2290), (300, 870), (530, 1840), (570, 840), (440, 1020), (640, 1190))


def sound(seed: int, seconds: float) -> Samples:
    """A sound of a kind that depends on `seed`: half of them are music."""
    makers: tuple[Callable[[Random, float], Samples], ...] = (music, music, babble, scene)
    return makers[seed % len(makers)](np.random.default_rng(seed), seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Instrument:
    """harmonics: amplitudes; phases of them; vibrato: its depth and Hz; attack_s, decay_s."""

    harmonics: NDArray[np.float64]
    phases: NDArray[np.float64]
    vibrato: tuple[float, float]
    attack_s: float
    decay_s: float

    @classmethod
    def drawn(cls, rng: Random) -> _Instrument:
        count = int(rng.integers(1, 14))
        falling = np.arange(1, count + 1) ** -rng.uniform(0.3, 2.0)
        return cls(
            harmonics=rng.random(count) * falling,
            phases=rng.uniform(0, 2 * np.pi, count),
            vibrato=(float(rng.choice([0.0, rng.uniform(0, 0.01)])), rng.uniform(3, 7)),
            attack_s=10 ** rng.uniform(-3, -1),
            decay_s=10 ** rng.uniform(-1.2, 0.5),
        )

    def note(self, hertz: float, count: int) -> Samples:
        time_s = np.arange(count) / RATE_HZ
        depth, rate = self.vibrato
        phase = 2 * np.pi * np.cumsum(hertz * (1 + depth * np.sin(2 * np.pi * rate * time_s)))
        wave = np.zeros(count)
        for number, (level, start) in enumerate(zip(self.harmonics, self.phases, strict=True), 1):
            if hertz * number < _HIGHEST_HZ:
                wave += level * np.sin(number * phase / RATE_HZ + start)
        return wave * np.minimum(time_s / self.attack_s, 1) * np.exp(-time_s / self.decay_s)


def music(rng: Random, seconds: float) -> Samples:
    """One to four voices, walking or in loops, mostly with drums."""
    whole = np.zeros(int(seconds * RATE_HZ))
    beat_s = 60 / rng.uniform(60, 180)
    root_hz, scale = rng.uniform(80, 300), _SCALES[rng.integers(len(_SCALES))]
    for _ in range(rng.integers(1, 5)):
        _add_voice(whole, rng, beat_s, root_hz, scale)
    if rng.random() < 0.6:
        _add_drums(whole, rng, beat_s)
    return _scaled(whole)


def _add_voice(
    whole: Samples, rng: Random, beat_s: float, root_hz: float, scale: tuple[int, ...]
) -> None:
    instrument, level = _Instrument.drawn(rng), rng.uniform(0.2, 1)
    step_s, density = beat_s * float(rng.choice([0.25, 0.5, 1, 2])), rng.uniform(0.5, 1)
    loop = rng.integers(-2, 12, rng.integers(3, 17)) if rng.random() < 0.3 else None
    chord = (0, 2, 4) if rng.random() < 0.3 else (0,)
    at_s, number, degree = 0.0, 0, int(rng.integers(-4, 14))
    while at_s < len(whole) / RATE_HZ:
        walked = degree + int(rng.integers(-3, 4))
        degree = int(np.clip(walked if loop is None else loop[number % len(loop)], -6, 18))
        if rng.random() < density:
            for part in chord:
                octave, place = divmod(degree + part, len(scale))
                hertz = root_hz * 2 ** (octave + scale[place] / 12)
                count = int(rng.uniform(0.8, 3) * step_s * RATE_HZ) + 200
                _add(whole, at_s, level * rng.uniform(0.5, 1) * instrument.note(hertz, count))
        at_s += step_s * (float(rng.choice([1, 1, 1, 0.5, 1.5, 2])) if loop is None else 1.0)
        number += 1


def _add_drums(whole: Samples, rng: Random, beat_s: float) -> None:
    hits = []
    for _ in range(3):
        time_s = np.arange(int(rng.uniform(0.04, 0.4) * RATE_HZ)) / RATE_HZ
        tone = np.sin(2 * np.pi * rng.uniform(50, 400) * time_s * np.exp(-8 * time_s))
        hit = rng.standard_normal(len(time_s)) * rng.uniform(0, 1) + tone * rng.uniform(0, 2)
        hits.append(hit * np.exp(-time_s / rng.uniform(0.01, 0.15)))
    pattern = rng.random((3, 16)) < rng.uniform(0.1, 0.5, (3, 1))
    for number in range(int(len(whole) / RATE_HZ / beat_s * 4) + 1):
        for kind, hit in enumerate(hits):
            if pattern[kind, number % 16] or rng.random() < 0.04:
                _add(whole, number * beat_s / 4, hit * rng.uniform(0.4, 1.2))


def scene(rng: Random, seconds: float) -> Samples:
    """Noise of changing loudness with chirps, bursts and buzzes."""
    count = int(seconds * RATE_HZ)
    whole = _noise(rng, count, rng.uniform(0, 1))
    knots = np.arange(0, seconds + 0.5, 0.25)
    gains = 10 ** rng.uniform(-1, 0.3, len(knots)) * rng.uniform(0.05, 1)
    whole *= np.interp(np.arange(count) / RATE_HZ, knots, gains)
    for _ in range(int(seconds * rng.uniform(0.5, 6))):
        time_s = np.arange(int(10 ** rng.uniform(-1.7, 0.3) * RATE_HZ)) / RATE_HZ
        low, high = 10 ** rng.uniform(2.2, 3.5, 2)
        kind = rng.integers(3)
        if kind == 0:
            event = np.sin(2 * np.pi * np.cumsum(np.linspace(low, high, len(time_s))) / RATE_HZ)
        elif kind == 1:
            event = rng.standard_normal(len(time_s)) * np.sin(2 * np.pi * low * time_s)
        else:
            swing = 1 + 0.1 * np.sin(time_s * rng.uniform(3, 40))
            event = np.sign(np.sin(2 * np.pi * np.cumsum(high * swing) / RATE_HZ))
        event = event * np.hanning(len(event)) * rng.uniform(0.2, 2)
        _add(whole, rng.uniform(0, seconds), event)
    return _scaled(whole)


def babble(rng: Random, seconds: float) -> Samples:
    """Syllables of a made-up voice: vowels that glide, hisses, pauses."""
    whole = np.zeros(int(seconds * RATE_HZ))
    pitch_hz, size, at_s = rng.uniform(80, 260), rng.uniform(0.85, 1.25), 0.0
    pace = rng.uniform(0.7, 1.3)
    while at_s < seconds:
        if rng.random() < 0.7:
            hiss = rng.standard_normal(int(rng.uniform(0.03, 0.12) * RATE_HZ))
            _add(whole, at_s, _around(hiss, rng.uniform(900, 3600), 600) * rng.uniform(0.05, 0.6))
            at_s += len(hiss) / RATE_HZ * pace
        vowel = _vowel(rng, pitch_hz * rng.uniform(0.85, 1.2), size, rng.uniform(0.07, 0.28) * pace)
        _add(whole, at_s, vowel * rng.uniform(0.5, 1))
        at_s += len(vowel) / RATE_HZ * rng.uniform(0.85, 1.05)
        at_s += rng.uniform(0.1, 0.7) if rng.random() < 0.1 else 0.0
    return _scaled(whole)


def _vowel(rng: Random, pitch_hz: float, size: float, seconds: float) -> Samples:
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    share = time_s / seconds
    start, end = rng.integers(len(_VOWELS), size=2)
    formants = [
        size * ((1 - share) * one + share * other)
        for one, other in zip(_VOWELS[start], _VOWELS[end], strict=True)
    ]
    formants.append(size * np.full(len(time_s), rng.uniform(2300, 2900)))
    glide = 1 + rng.uniform(-0.15, 0.15) * share
    phase = 2 * np.pi * np.cumsum(pitch_hz * glide) / RATE_HZ
    wave = np.zeros(len(time_s))
    for number in range(1, int(_HIGHEST_HZ / pitch_hz / 1.2)):
        hertz = number * pitch_hz * glide
        shape = sum(
            gain / (1 + ((hertz - middle) / width) ** 2)
            for middle, width, gain in zip(formants, (60, 90, 140), (1, 0.5, 0.25), strict=True)
        )
        wave += shape * np.sin(number * phase)
    return wave * np.hanning(len(wave)) ** 0.5


def _noise(rng: Random, count: int, slope: float) -> Samples:
    """Noise with the deviation 1 whose spectrum falls with the frequency to the power `slope`."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    noise = np.fft.irfft(spectrum * (hertz + 50) ** -slope, count)
    return np.asarray(noise / noise.std())


def _around(wave: Samples, middle_hz: float, width_hz: float) -> Samples:
    hertz = np.fft.rfftfreq(len(wave), 1 / RATE_HZ)
    gains = np.exp(-(((hertz - middle_hz) / width_hz) ** 2))
    return np.fft.irfft(np.fft.rfft(wave) * gains, len(wave))


def _add(whole: Samples, at_s: float, part: Samples) -> None:
    start = int(at_s * RATE_HZ)
    count = max(0, min(len(part), len(whole) - start))
    whole[start : start + count] += part[:count]


def _scaled(wave: Samples) -> Samples:
    return np.asarray(_PEAK * wave / max(float(np.abs(wave).max()), 1e-9))
