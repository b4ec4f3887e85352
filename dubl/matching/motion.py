"""Common motion: whether both sides of a segment change in the same way.

A copy changes like its original; another take in the same room does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dubl.types import Float16Array, Float32Array

Sides = tuple[Float32Array, Float32Array]
StoredSides = tuple[Float16Array, Float16Array]

STILL = 0.06  # share of the features' length; a smaller deviation is noise; chosen
SAME_FROM = 0.8  # similarity from which two still pictures begin to count as the same; chosen
SAME_AT = 0.95  # similarity from which they fully do; chosen
MAX_INSTANTS = 128  # chosen, bounds the [n,n] products
TINY = 1e-12  # avoids division by 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonMotion:
    """How query and reference change at the same instants.

    count: instants. moving: in [0,1], 0 where both sides stand still. lead: in [0,1], how far each
    instant is more similar to the same instant of the other side than to other instants.
    """

    count: int
    moving: float
    lead: float

    @property
    def change(self) -> float:
        """How surely both sides change in the same way, in [0,1]. Stillness proves nothing."""
        return self.moving * self.lead

    def signal(self, similarity: float) -> float:
        """As `change`, but where nothing changes, `similarity` decides, in [0,1].

        Few instants may agree by chance, so n of them are weighted by (n - 2) / (n + 2).
        """
        if self.count < 3:
            return 0.0
        sameness = min(max((similarity - SAME_FROM) / (SAME_AT - SAME_FROM), 0.0), 1.0)
        weight = (self.count - 2) / (self.count + 2)
        return (self.change + (1 - self.moving) * sameness) * weight


def common_motion(descriptors: Sides, regions: Sides) -> CommonMotion:
    """Measures the common motion of a segment.

    descriptors [n,D'] and regions [n,R·D]: features of the query, and of the reference at the same
    instants.

    Subtracting the mean over the segment removes everything constant (a room, a logo). The rest of
    each instant must be more similar to the same instant of the other side than to other instants.
    Ranks are compared, not sizes: a geometric edit weakens all similarities but keeps their order.
    k different pictures that stand still one after the other have a lead of about 1 - 1/k.
    """
    descriptors, regions = _thinned(descriptors), _thinned(regions)
    count = len(descriptors[0])
    if count < 3:
        return CommonMotion(count=count, moving=0.0, lead=0.0)
    change = (_change(*descriptors) + _change(*regions)) / 2
    moving = change / (change + STILL**2)
    lead = lead_of(_likeness(*descriptors) + _likeness(*regions))
    return CommonMotion(count=count, moving=moving, lead=lead)


def change_cosines(descriptors: StoredSides, regions: StoredSides) -> Float32Array:
    """Cosines [n,m] of the deviations of n instants of one side, and m of the other, from the mean
    of their side: mean of descriptors [·,D'] and regions [·,R,D]."""
    flat = [one.astype(np.float32).reshape(len(one), -1) for one in regions]
    whole = [one.astype(np.float32) for one in descriptors]
    total = _likeness(whole[0], whole[1]) + _likeness(flat[0], flat[1])
    cosines: Float32Array = (total / 2).astype(np.float32)
    return cosines


def _thinned(sides: Sides) -> Sides:
    """Evenly thinned to at most MAX_INSTANTS."""
    step = max(1, -(-len(sides[0]) // MAX_INSTANTS))
    return sides[0][::step], sides[1][::step]


def _likeness(ours: Float32Array, theirs: Float32Array) -> Float32Array:
    """Cosines [n,n] of the deviations of each instant of either side."""
    cosines: Float32Array = _deviations(ours) @ _deviations(theirs).T
    return cosines


def _deviations(features: Float32Array) -> Float32Array:
    """Deviations [n,·] from the mean, about unit length; those below STILL are shorter."""
    moved = features - features.mean(axis=0)
    floor = STILL**2 * _energy(features) / len(features) + TINY
    unit: Float32Array = moved / np.sqrt((moved * moved).sum(axis=1, keepdims=True) + floor)
    return unit


def _change(ours: Float32Array, theirs: Float32Array) -> float:
    """Share of the energy that lies in the deviations from the means."""
    moved = _energy(ours - ours.mean(axis=0)) * _energy(theirs - theirs.mean(axis=0))
    return math.sqrt(moved / (_energy(ours) * _energy(theirs) + TINY))


def lead_of(likeness: Float32Array) -> float:
    """Mean rank of the diagonal of `likeness` [n,n] in its rows and columns, in [0,1].

    1: each instant is the most similar one in its row and column. 0: it is average. The worse rank
    of row and column counts.
    """
    own = np.diag(likeness)
    others = len(own) - 1
    in_row = np.sign(own[:, None] - likeness).sum(axis=1) / others
    in_column = np.sign(own[None, :] - likeness).sum(axis=0) / others
    return max(0.0, float(np.minimum(in_row, in_column).mean()))


def _energy(features: Float32Array) -> float:
    return float((features * features).sum())
