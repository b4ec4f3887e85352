"""Whether both sides of a segment change alike: a copy does, another take in the same room not."""

from __future__ import annotations

import math

import numpy as np

from dubl.types import Float32Array

Sides = tuple[Float32Array, Float32Array]

STILL = 0.06  # of the features' length
SAME_FROM = 0.8
SAME_AT = 0.95
MAX_INSTANTS = 128
TINY = 1e-12


def common_motion(descriptors: Sides, regions: Sides, *, similarity: float) -> float:
    """How surely the query and the reference *change* alike at the same instants, in [0,1].

    descriptors [n,D'] and regions [n,R·D]: features of the query, and of the reference at the
    same instants. What stays (a room, a face, a frame, a logo) is taken away by the means over the
    segment. What is left of an instant must be more like its own on the other side than like that
    of other instants, from either side. An edit of the picture's geometry weakens the likeness of
    all instants but keeps their order, while two takes in one room are alike at any instant. Where
    neither side changes (a still picture) there is nothing to compare, and that both stand still
    counts for as much as their pictures are nearly the same. Few instants agree by chance: n of
    them count (n - 2) / (n + 2).
    """
    descriptors, regions = _thinned(descriptors), _thinned(regions)
    count = len(descriptors[0])
    if count < 3:
        return 0.0
    change = (_change(*descriptors) + _change(*regions)) / 2
    moving = change / (change + STILL**2)
    sameness = min(max((similarity - SAME_FROM) / (SAME_AT - SAME_FROM), 0.0), 1.0)
    lead = _lead(_likeness(*descriptors) + _likeness(*regions))
    return (moving * lead + (1 - moving) * sameness) * (count - 2) / (count + 2)


def _thinned(sides: Sides) -> Sides:
    """At most MAX_INSTANTS, evenly."""
    step = max(1, -(-len(sides[0]) // MAX_INSTANTS))
    return sides[0][::step], sides[1][::step]


def _likeness(ours: Float32Array, theirs: Float32Array) -> Float32Array:
    """Cosines [n,n] of what is left of each instant of the one and of the other."""
    cosines: Float32Array = _deviations(ours) @ _deviations(theirs).T
    return cosines


def _deviations(features: Float32Array) -> Float32Array:
    """[n,·] from their mean, of about unit length; those of less than STILL hardly count."""
    moved = features - features.mean(axis=0)
    floor = STILL**2 * _energy(features) / len(features) + TINY
    unit: Float32Array = moved / np.sqrt((moved * moved).sum(axis=1, keepdims=True) + floor)
    return unit


def _change(ours: Float32Array, theirs: Float32Array) -> float:
    """Energy of the deviations from the means as a share of all."""
    moved = _energy(ours - ours.mean(axis=0)) * _energy(theirs - theirs.mean(axis=0))
    return math.sqrt(moved / (_energy(ours) * _energy(theirs) + TINY))


def _lead(likeness: Float32Array) -> float:
    """How far the instants on the diagonal of `likeness` [n,n] are ahead of the others, in [0,1].

    An instant that nothing is more like has 1, one in the middle of all 0: the worse of its ranks
    in row and column, averaged.
    """
    own = np.diag(likeness)
    others = len(own) - 1
    in_row = np.sign(own[:, None] - likeness).sum(axis=1) / others
    in_column = np.sign(own[None, :] - likeness).sum(axis=0) / others
    return max(0.0, float(np.minimum(in_row, in_column).mean()))


def _energy(features: Float32Array) -> float:
    return float((features * features).sum())
