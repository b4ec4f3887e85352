"""Answers with their truth, from which figures are calculated, and how well seconds agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dubl.evaluation.benchmark.run import SuiteRun
from dubl.evaluation.metrics.detection import Answer
from dubl.evaluation.metrics.segments import ScoredSegment
from dubl.evaluation.metrics.vcsl import Box, VcslPair
from dubl.evaluation.suite import TrueMatch
from dubl.types import Match, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredQuery:
    """The answer of one method to one query.

    references [n] with scores float64 [n]; scores are comparable over queries, higher is more
    similar. expected: the references that the query copies.
    """

    name: str
    attack: str
    expected: frozenset[str]
    references: tuple[str, ...]
    scores: NDArray[np.float64]

    @property
    def relevant(self) -> NDArray[np.bool_]:
        return np.array([one in self.expected for one in self.references], dtype=np.bool_)

    @property
    def answer(self) -> Answer:
        """The best reference, the first listed of equal ones; the lowest score if there is none."""
        if not self.references:
            return Answer(expected=self.expected, found="", score=-np.inf)
        best = int(np.argmax(self.scores))
        return Answer(
            expected=self.expected, found=self.references[best], score=float(self.scores[best])
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredQuery:
    """A query of the suite, its truth, and the service's answer: matches best first.

    ranks float64 [n]: place of each match among all matches of the suite by probability, equal
    ones by similarity; higher is better. A query that failed has no matches.
    """

    name: str
    attack: str
    strength: float | None
    truth: tuple[TrueMatch, ...]
    outcome: Outcome
    matches: tuple[Match, ...]
    ranks: NDArray[np.float64]

    @property
    def expected(self) -> frozenset[str]:
        return frozenset(match.reference for match in self.truth)

    @property
    def answer(self) -> Answer:
        """The top reference with its probability."""
        if not self.matches:
            return Answer(expected=self.expected, found="", score=0.0)
        best = self.matches[0]
        return Answer(expected=self.expected, found=best.reference_id, score=best.probability)

    @property
    def scored(self) -> ScoredQuery:
        """The query for rankings of pairs."""
        return ScoredQuery(
            name=self.name,
            attack=self.attack,
            expected=self.expected,
            references=tuple(match.reference_id for match in self.matches),
            scores=self.ranks,
        )

    def found_at(self, threshold: float) -> bool:
        """Whether a true reference is among the matches with at least this probability."""
        return any(
            match.reference_id in self.expected and match.probability >= threshold
            for match in self.matches
        )

    def true_segments(self) -> list[ScoredSegment]:
        return [
            ScoredSegment(query_id=self.name, reference_id=match.reference, axes=(match.q, match.r))
            for match in self.truth
            if match.timed
        ]

    def found_segments(self) -> list[ScoredSegment]:
        """All segments, with scores that order them by match, then by their own similarity."""
        return [
            ScoredSegment(
                query_id=self.name,
                reference_id=match.reference_id,
                axes=(
                    (segment.query_start_s, segment.query_end_s),
                    (segment.reference_start_s, segment.reference_end_s),
                ),
                score=float(rank) + min(max(segment.similarity, 0.0), 0.999),
            )
            for match, rank in zip(self.matches, self.ranks, strict=True)
            for segment in match.segments
        ]


def answered_queries(run: SuiteRun) -> list[AnsweredQuery]:
    """All queries of the truth, in its order."""
    verdicts = [run.verdicts.get(name) for name in run.truth.queries]
    ranks = ranks_of([verdict.matches if verdict else () for verdict in verdicts])
    return [
        AnsweredQuery(
            name=name,
            attack=facts.attack,
            strength=facts.strength,
            truth=tuple(_standing_for(match, run) for match in facts.matches),
            outcome=verdict.outcome if verdict else Outcome.UNIQUE,
            matches=verdict.matches if verdict else (),
            ranks=places,
        )
        for (name, facts), verdict, places in zip(
            run.truth.queries.items(), verdicts, ranks, strict=True
        )
    ]


def _standing_for(match: TrueMatch, run: SuiteRun) -> TrueMatch:
    """The true match, with the reference's name in the library."""
    name = _listed(match.reference, run.truth.references)
    return match.model_copy(update={"reference": run.same_as.get(name, name)})


def _listed(name: str, references: Sequence[str]) -> str:
    """The listed name; some data sets leave out the suffix on one side."""
    if name in references:
        return name
    stems = [one for one in references if one.rpartition(".")[0] == name]
    return stems[0] if len(stems) == 1 else name


def ranks_of(answers: Sequence[Sequence[Match]]) -> list[NDArray[np.float64]]:
    """Place of each match by (probability, similarity); equal ones share a place."""
    keys = [(match.probability, match.similarity) for matches in answers for match in matches]
    table = np.array(keys, dtype=np.float64).reshape(-1, 2)
    places = np.unique(table, axis=0, return_inverse=True)[1].reshape(-1).astype(np.float64)
    ends = np.cumsum([len(matches) for matches in answers])[:-1]
    return np.split(places, ends)


def boxes(query: AnsweredQuery, threshold: float) -> list[VcslPair]:
    """Found and true boxes of each pair with either; found: of matches that reach `threshold`."""
    predicted, true = _by_reference(_shown(query, threshold)), _by_reference(query.true_segments())
    return [
        VcslPair(
            predicted=[_box(one) for one in predicted.get(reference, ())],
            truth=[_box(one) for one in true.get(reference, ())],
        )
        for reference in sorted(predicted.keys() | true.keys())
    ]


def end_errors(query: AnsweredQuery, threshold: float) -> list[float]:
    """Distances of the four ends, in seconds, for each true segment that was found.

    A true segment is compared with the found one that overlaps it most; one without overlap counts
    as missed and has no errors. Only matches that reach `threshold` count.
    """
    found = _shown(query, threshold)
    errors: list[float] = []
    for true in query.true_segments():
        near = [one for one in found if one.pair == true.pair and one.overlaps(true)]
        if near:
            best = max(near, key=partial(_overlap, true))
            errors.extend(
                abs(have - want) for have, want in zip(_box(best), _box(true), strict=True)
            )
    return errors


def _shown(query: AnsweredQuery, threshold: float) -> list[ScoredSegment]:
    """Segments of the matches that reach the threshold."""
    shown = {one.reference_id for one in query.matches if one.probability >= threshold}
    return [one for one in query.found_segments() if one.reference_id in shown]


def _by_reference(segments: Sequence[ScoredSegment]) -> dict[str, list[ScoredSegment]]:
    groups: defaultdict[str, list[ScoredSegment]] = defaultdict(list)
    for segment in segments:
        groups[segment.reference_id].append(segment)
    return groups


def _box(segment: ScoredSegment) -> Box:
    (query_start_s, query_end_s), (reference_start_s, reference_end_s) = segment.axes
    return query_start_s, reference_start_s, query_end_s, reference_end_s


def _overlap(one: ScoredSegment, other: ScoredSegment) -> float:
    """Common query seconds times common reference seconds."""
    (left, up), (right, down) = one.axes, other.axes
    query_s = min(left[1], right[1]) - max(left[0], right[0])
    return query_s * (min(up[1], down[1]) - max(up[0], down[0]))
