"""Answered queries built by hand."""

from __future__ import annotations

import numpy as np

from dubl.evaluation.benchmark.answers import AnsweredQuery, ScoredQuery
from dubl.evaluation.suite import TrueMatch
from dubl.types import Match, Outcome, Segment


def match(
    reference: str,
    probability: float,
    *,
    q: tuple[float, float] = (0.0, 10.0),
    r: tuple[float, float] = (0.0, 10.0),
    similarity: float = 0.5,
) -> Match:
    segment = Segment(
        query_start_s=q[0],
        query_end_s=q[1],
        reference_start_s=r[0],
        reference_end_s=r[1],
        similarity=similarity,
    )
    return Match(
        reference_id=reference,
        library="main",
        similarity=similarity,
        probability=probability,
        segments=(segment,),
    )


def true(
    reference: str, q: tuple[float, float] = (0.0, 10.0), r: tuple[float, float] = (0.0, 10.0)
) -> TrueMatch:
    return TrueMatch(reference=reference, q=q, r=r)


def query(
    name: str, *matches: Match, copies: tuple[TrueMatch, ...] = (), attack: str = "crop"
) -> AnsweredQuery:
    """Matches rank by their probabilities."""
    return AnsweredQuery(
        name=name,
        attack=attack,
        strength=0.5,
        truth=copies,
        outcome=Outcome.UNIQUE,
        matches=matches,
        ranks=np.array([one.probability for one in matches], dtype=np.float64),
    )


def scored(name: str, expected: str, scores: dict[str, float]) -> ScoredQuery:
    return ScoredQuery(
        name=name,
        attack="crop",
        expected=frozenset({expected} - {""}),
        references=tuple(scores),
        scores=np.array(list(scores.values()), dtype=np.float64),
    )
