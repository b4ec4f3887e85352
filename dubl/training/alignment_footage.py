"""Footage to synthesize similarity matrices from, as features of evenly spaced frames.

Imaginary shots are random walks on a sphere; those of one scene stay about one direction. Real ones
are clips of a feature pack. Each comes with an edited version of the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dubl.training.feature_pack import FeaturePack

Floats = NDArray[np.float32]
Random = np.random.Generator

DIMS = 48
RATE_HZ = 4.0
REAL_RATE_HZ = 2.0
REPEATED = 0.08  # shots that come again
PLAIN_EDITS, FADING_EDITS = 0.55, 0.8  # cumulated: edits that stay as they are, that grow or fade
OVERLAYS = 0.4  # queries through which another video shines


class Track(NamedTuple):
    """Descriptors [n,D'] of evenly spaced frames, and region features [n,R,D], R may be 0."""

    descriptors: Floats
    regions: Floats

    def rows(self, rows: NDArray[np.int64]) -> Track:
        return Track(self.descriptors[rows], self.regions[rows])

    @classmethod
    def joined(cls, parts: Sequence[Track]) -> Track:
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class Shot(NamedTuple):
    """A shot, and the same rows after an edit."""

    original: Track
    edited: Track


Shoot = Callable[[Random], Shot]


class Scenery(NamedTuple):
    """Where shots come from, and the rate of their rows."""

    shoot: Callable[[Random], Shoot]  # one for each example: its shots belong together
    rate_hz: float


def imaginary() -> Scenery:
    return Scenery(_imaginary_shoot, RATE_HZ)


def real(pack: FeaturePack, *, validation: bool) -> Scenery:
    """Clips of one part of the pack; an example draws half of its clips from one scene."""
    numbers = pack.select(validation=validation)
    names = np.array([pack.items[number].scene for number in numbers])

    def choose(rng: Random) -> Shoot:
        alike = numbers[names == names[int(rng.integers(len(names)))]]

        def shoot(rng: Random) -> Shot:
            pool = alike if rng.random() < 0.5 else numbers
            features = pack.features[int(rng.choice(pool))]
            version = int(rng.integers(len(features.regions)))
            tracks = [
                Track(
                    features.descriptors[v].astype(np.float32),
                    features.regions[v].astype(np.float32),
                )
                for v in (0, version)
            ]
            return Shot(*tracks)

        return shoot

    return Scenery(choose, REAL_RATE_HZ)


def film(rng: Random, shoot: Shoot, rate_hz: float, duration_s: float) -> list[Shot]:
    """Shots of at least this duration together; now and then an earlier one comes again."""
    shots: list[Shot] = []
    while sum(len(shot.original.descriptors) for shot in shots) < duration_s * rate_hz:
        again = shots and rng.random() < REPEATED
        shots.append(shots[int(rng.integers(len(shots)))] if again else shoot(rng))
    return shots


def fading(edited: Track, plain: Track, rng: Random) -> Track:
    """Some edits grow or fade along the copy, as a slow zoom does; some come and go."""
    count = len(edited.descriptors)
    kind = rng.random()
    if kind < PLAIN_EDITS or not count:
        return edited
    if kind < FADING_EDITS:
        first, last = rng.uniform(0, 1, 2).tolist()
        share = np.linspace(first, last, count)
    else:
        share = (rng.random(count) < rng.uniform(0.3, 1)).astype(np.float64)
    return _mixed(edited, plain, share)


def overlaid(query: Track, shoot: Shoot, rate_hz: float, seconds: Floats, rng: Random) -> Track:
    """In some queries another video shows all along, and every frame is noisy."""
    if rng.random() >= OVERLAYS:
        return query
    other = Track.joined([shot.edited for shot in film(rng, shoot, rate_hz, float(seconds[-1]))])
    other = other.rows(rows_at(seconds, len(other.descriptors), rate_hz))
    noisy = Track(*(part + 0.5 * _directions(part.shape, rng) for part in other))
    return _mixed(query, noisy, np.full(len(seconds), 1 - rng.uniform(0.0, 0.6)))


def _mixed(one: Track, other: Track, share: NDArray[np.float64]) -> Track:
    """Each frame: `share` [n] of one, the rest of the other, unit length again."""
    parts = []
    for ours, theirs in zip(one, other, strict=True):
        part = share.reshape(-1, *[1] * (ours.ndim - 1))
        parts.append(_unit(part * ours + (1 - part) * theirs).astype(np.float32))
    return Track(*parts)


def _directions(shape: tuple[int, ...], rng: Random) -> Floats:
    directions: Floats = _unit(rng.normal(size=shape)).astype(np.float32)
    return directions


def _imaginary_shoot(rng: Random) -> Shoot:
    scenes = [_unit(rng.normal(size=DIMS)) for _ in range(int(rng.integers(1, 4)))]
    shared = _unit(rng.normal(size=DIMS)) * rng.uniform(0, 0.5)
    pull = rng.uniform(0.0, 1.0) ** 1.5 * 1.6 * _unit(rng.normal(size=DIMS))
    noise = rng.uniform(0.0, 0.8)

    def shoot(rng: Random) -> Shot:
        count = max(2, round(rng.uniform(1.0, 12.0) * RATE_HZ))
        closeness = rng.uniform(0.0, 0.9)
        scene = scenes[int(rng.integers(len(scenes)))]
        place = shared + closeness * scene + (1 - closeness) * _unit(rng.normal(size=DIMS))
        pace = np.exp(rng.uniform(np.log(0.004), np.log(0.35)))
        steps = rng.normal(size=(count, DIMS)) / np.sqrt(DIMS) * pace
        track = _unit(place + np.cumsum(_smooth(steps), axis=0))
        frames = _unit(rng.normal(size=track.shape)) * noise
        return Shot(_plain(track), _plain(_unit(track + pull + frames)))

    return shoot


def _plain(track: NDArray[np.float64]) -> Track:
    return Track(track.astype(np.float32), np.zeros((len(track), 0, 1), dtype=np.float32))


def rows_at(seconds: Floats, count: int, rate_hz: float) -> NDArray[np.int64]:
    """The nearest of `count` rows at this rate to each second."""
    rows: NDArray[np.int64] = np.clip(np.rint(seconds * rate_hz), 0, count - 1).astype(np.int64)
    return rows


def _smooth(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(steps, ((2, 2), (0, 0)), mode="edge")
    smooth: NDArray[np.float64] = np.stack([padded[k : k + len(steps)] for k in range(5)]).mean(0)
    return smooth


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    unit: NDArray[np.float64] = values / np.maximum(lengths, 1e-9)
    return unit
