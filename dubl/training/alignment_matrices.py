"""Similarity matrices with known diagonals, synthesized in feature space.

A reference is a film of shots (dubl.training.alignment_footage); a query shows pieces of it,
edited, at other speeds, backwards, and strangers in between, many of which look alike. Both are
sampled as the service samples them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dubl.training.alignment_footage import (
    Floats,
    Random,
    Scenery,
    Track,
    fading,
    film,
    overlaid,
    rows_at,
)

REFERENCE_HZ, QUERY_HZ, MIN_FRAMES = 1.0, 2.0, 16
LONGEST_S = 48.0
NEGATIVES = 0.2


class Example(NamedTuple):
    """Similarities float32 [T,U] in [0,1], and [T,U] in [0,1]: 1 where a copy runs through."""

    matrix: Floats
    target: Floats


class Piece(NamedTuple):
    """Query seconds start..end show the reference from `reference_s` on, at speed `slope`."""

    start_s: float
    end_s: float
    reference_s: float
    slope: float


def draw_example(rng: Random, scenery: Scenery) -> Example:
    """One pair of videos as the service would see them."""
    shoot = scenery.shoot(rng)
    shots = film(rng, shoot, scenery.rate_hz, rng.uniform(3.0, LONGEST_S))
    original = Track.joined([shot.original for shot in shots])
    edited = Track.joined([shot.edited for shot in shots])
    reference_s = min(len(original.descriptors) / scenery.rate_hz, LONGEST_S)
    pieces, query_s = draw_pieces(rng, reference_s, copies=rng.random() >= NEGATIVES)
    query_times = _times(query_s, QUERY_HZ, rng)
    reference_times = _times(reference_s, REFERENCE_HZ, rng)
    strange = Track.joined([s.edited for s in film(rng, shoot, scenery.rate_hz, query_s)])
    query = strange.rows(rows_at(query_times, len(strange.descriptors), scenery.rate_hz))
    for piece in pieces:
        inside = (query_times >= piece.start_s) & (query_times < piece.end_s)
        at = piece.reference_s + piece.slope * (query_times[inside] - piece.start_s)
        rows = rows_at(at, len(edited.descriptors), scenery.rate_hz)
        copied = fading(edited.rows(rows), original.rows(rows), rng)
        query.descriptors[inside], query.regions[inside] = copied
    query = overlaid(query, shoot, scenery.rate_hz, query_times, rng)
    reference = original.rows(rows_at(reference_times, len(original.descriptors), scenery.rate_hz))
    matrix = similarity(query, reference)
    return Example(matrix, _target(pieces, query_times, reference_times))


def similarity(query: Track, reference: Track) -> Floats:
    """As dubl.matching.matrix makes it; without regions the cosine alone."""
    cosines: Floats = np.clip(query.descriptors @ reference.descriptors.T, 0, 1)
    if not query.regions.shape[1]:
        return cosines
    count = query.regions.shape[1]
    products = (
        query.regions.reshape(-1, query.regions.shape[2])
        @ reference.regions.reshape(-1, reference.regions.shape[2]).T
    )
    blocks = products.reshape(len(query.regions), count, len(reference.regions), count)
    chamfer = (blocks.max(axis=3).mean(axis=1) + blocks.max(axis=1).mean(axis=2)) / 2
    values: Floats = np.sqrt(cosines * np.clip(chamfer, 0, 1))
    return values


def draw_pieces(rng: Random, reference_s: float, *, copies: bool) -> tuple[list[Piece], float]:
    """What a query shows of a reference, and how long the query is."""
    pieces: list[Piece] = []
    at = _stranger_s(rng) if rng.random() < 0.5 else 0.0
    for _ in range(int(rng.choice([1, 1, 1, 2, 3])) if copies else 0):
        slope = _slope(rng)
        most = min(reference_s / abs(slope), LONGEST_S - at)
        if most < 1.0:
            break
        share = 1.0 if rng.random() < 0.35 else rng.uniform(0.15, 1.0)
        length = max(min(most, 1.5), most * share)
        span = length * abs(slope)
        low = rng.uniform(0, max(reference_s - span, 1e-6))
        pieces.append(Piece(at, at + length, low if slope > 0 else low + span, slope))
        at += length + (_stranger_s(rng) if rng.random() < 0.5 else 0.0)
    return pieces, max(at, 1.5) if pieces else float(rng.uniform(2, 30))


def _target(pieces: Sequence[Piece], query_times: Floats, reference_times: Floats) -> Floats:
    """A ridge about a reference step wide along each piece."""
    target = np.zeros((len(query_times), len(reference_times)), dtype=np.float32)
    query_step = float(np.median(np.diff(query_times)))
    reference_step = float(np.median(np.diff(reference_times)))
    for piece in pieces:
        rows = (query_times >= piece.start_s) & (query_times < piece.end_s)
        line = piece.reference_s + piece.slope * (query_times - piece.start_s)
        width = 0.4 * max(reference_step, abs(piece.slope) * query_step)
        ridge = np.exp(-(((reference_times[None] - line[:, None]) / width) ** 2) / 2)
        target = np.maximum(target, np.where(rows[:, None], ridge, 0.0)).astype(np.float32)
    return target


def _times(duration_s: float, rate_hz: float, rng: Random) -> Floats:
    rate = max(rate_hz, MIN_FRAMES / duration_s)
    count = max(2, int(duration_s * rate))
    return ((np.arange(count) + rng.uniform(0, 0.3)) / rate).astype(np.float32)


def _slope(rng: Random) -> float:
    if rng.random() < 0.5:
        speed = 1.0
    else:
        widest = 2.0 if rng.random() < 0.6 else 4.0
        speed = float(np.exp(rng.uniform(-np.log(widest), np.log(widest))))
    return -speed if rng.random() < 0.12 else speed


def _stranger_s(rng: Random) -> float:
    return float(rng.uniform(1.5, 10.0))
