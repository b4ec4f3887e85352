"""The worst answers of a run: what to look at first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubl.errors import SourceNotFound
from dubl.evaluation.benchmark.answers import AnsweredQuery
from dubl.evaluation.report.filmstrips import Strip, moments_of
from dubl.evaluation.suite_truth import QUERIES, REFERENCES, find_video
from dubl.types import Match

PICTURED = 8
PICTURED_OF_AN_EDIT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FalsePair:
    """A match with a reference that the query does not copy."""

    query: AnsweredQuery
    match: Match


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A copy whose true references stay under the duplicate threshold.

    `probability` is the best that a true one got, 0 when retrieval left them out.
    """

    query: AnsweredQuery
    probability: float

    @property
    def found_instead(self) -> str:
        """The top reference, where it is a wrong one."""
        answer = self.query.answer
        return answer.found if answer.found and not answer.is_right else ""


def worst_false_pairs(
    queries: Sequence[AnsweredQuery], *, count: int = PICTURED
) -> list[FalsePair]:
    """The most probable wrong matches."""
    found = [
        FalsePair(query=query, match=match)
        for query in queries
        for match in query.matches
        if match.reference_id not in query.expected and match.segments
    ]
    return sorted(found, key=lambda pair: -pair.match.probability)[:count]


def misses(queries: Sequence[AnsweredQuery], threshold: float) -> list[Miss]:
    """All misses, the least probable first."""
    found = []
    for query in queries:
        if query.expected and not query.found_at(threshold):
            true = [one.probability for one in query.matches if one.reference_id in query.expected]
            found.append(Miss(query=query, probability=max(true, default=0.0)))
    return sorted(found, key=lambda miss: (miss.probability, miss.query.name))


def varied(found: Sequence[Miss], *, count: int = PICTURED) -> list[Miss]:
    """The worst misses with at most PICTURED_OF_AN_EDIT of one edit."""
    seen: Counter[str] = Counter()
    kept = []
    for miss in found:
        seen[miss.query.attack] += 1
        if seen[miss.query.attack] <= PICTURED_OF_AN_EDIT:
            kept.append(miss)
    return kept[:count]


def false_strips(suite: Path, pairs: Sequence[FalsePair]) -> Iterator[Strip]:
    """Frames at the moments that were taken for the same."""
    for pair in pairs:
        query, match, segment = pair.query, pair.match, pair.match.segments[0]
        truth = ", ".join(sorted(query.expected)) or "nothing"
        yield Strip(
            title=f"{match.probability:.3f}  {query.name}",
            lines=(
                f"{query.attack}; is a copy of {truth}",
                f"was matched with {match.reference_id}, similarity {segment.similarity:.2f}",
            ),
            query=_path(suite / QUERIES, query.name),
            reference=_path(suite / REFERENCES, match.reference_id),
            moments=moments_of(
                (segment.query_start_s, segment.query_end_s),
                (segment.reference_start_s, segment.reference_end_s),
                backwards=segment.reversed,
            ),
        )


def miss_strips(suite: Path, found: Sequence[Miss]) -> Iterator[Strip]:
    """Frames at the moments that are the same."""
    for miss in found:
        query, true = miss.query, miss.query.truth[0]
        instead = f"; instead: {miss.found_instead}" if miss.found_instead else ""
        strength = "" if query.strength is None else f" at strength {query.strength:g}"
        yield Strip(
            title=f"{miss.probability:.3f}  {query.name}",
            lines=(f"{query.attack}{strength}{instead}", f"is a copy of {true.reference}"),
            query=_path(suite / QUERIES, query.name),
            reference=_path(suite / REFERENCES, true.reference),
            moments=moments_of(true.q, true.r, backwards=true.reversed),
        )


def _path(folder: Path, name: str) -> Path:
    """Where the video is, or should be: a strip of a video that is not there stays empty."""
    try:
        return find_video(folder, name)
    except SourceNotFound:
        return folder / name
