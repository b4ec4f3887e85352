"""Answers with their truth, from which all figures are calculated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubl.evaluation.benchmark.run import SuiteRun
from dubl.evaluation.metrics.detection import Answer
from dubl.evaluation.metrics.segments import ScoredSegment
from dubl.evaluation.suite_truth import TrueMatch
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
    ranks = _ranks([verdict.matches if verdict else () for verdict in verdicts])
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


def _ranks(answers: Sequence[Sequence[Match]]) -> list[NDArray[np.float64]]:
    """Place of each match by (probability, similarity); equal ones share a place."""
    keys = [(match.probability, match.similarity) for matches in answers for match in matches]
    table = np.array(keys, dtype=np.float64).reshape(-1, 2)
    places = np.unique(table, axis=0, return_inverse=True)[1].reshape(-1).astype(np.float64)
    ends = np.cumsum([len(matches) for matches in answers])[:-1]
    return np.split(places, ends)
