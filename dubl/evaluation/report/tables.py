"""The report's tables of all pairs and of all queries, as Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dubl.evaluation.benchmark.answers import AnsweredQuery, ScoredQuery, end_errors
from dubl.evaluation.benchmark.run import SuiteRun
from dubl.types import Match

_SEGMENTS = pa.list_(
    pa.struct(
        [
            ("query_start_s", pa.float64()),
            ("query_end_s", pa.float64()),
            ("reference_start_s", pa.float64()),
            ("reference_end_s", pa.float64()),
            ("similarity", pa.float64()),
            ("reversed", pa.bool_()),
        ]
    )
)
_PAIR_COLUMNS = (
    ("query", pa.string()),
    ("attack", pa.string()),
    ("strength", pa.float64()),
    ("reference", pa.string()),
    ("is_copy", pa.bool_()),
    ("place", pa.int32()),
    ("probability", pa.float64()),
    ("similarity", pa.float64()),
    ("segments", _SEGMENTS),
)
_QUERIES = pa.schema(
    [
        ("query", pa.string()),
        ("attack", pa.string()),
        ("strength", pa.float64()),
        ("expected", pa.list_(pa.string())),
        ("outcome", pa.string()),
        ("probability", pa.float64()),
        ("top_reference", pa.string()),
        ("top_is_right", pa.bool_()),
        ("end_errors_s", pa.list_(pa.float64())),
        ("duration_s", pa.float64()),
        ("timings_ms", pa.map_(pa.string(), pa.float64())),
        ("failure", pa.string()),
    ]
)


def write_pairs(
    path: Path,
    queries: Sequence[AnsweredQuery],
    references: Sequence[str],
    peers: Mapping[str, Sequence[ScoredQuery]],
) -> None:
    """A row for each query and reference; `probability` is null where retrieval left it out.

    Each peer's scores are a column of its name.
    """
    columns = [*_PAIR_COLUMNS, *((name, pa.float64()) for name in peers)]
    rows = [
        row
        for place, query in enumerate(queries)
        for row in _pair_rows(
            query, references, {name: scored[place] for name, scored in peers.items()}
        )
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(columns)), path)


def write_queries(path: Path, queries: Sequence[AnsweredQuery], run: SuiteRun) -> None:
    """A row a query; `failure` is the code of its error, empty when it was answered."""
    failures = {failure.video: failure.code for failure in run.failures}
    level = run.settings.policy.review_probability
    rows = [
        {
            "query": query.name,
            "attack": query.attack,
            "strength": query.strength,
            "expected": sorted(query.expected),
            "outcome": str(query.outcome),
            "probability": query.answer.score,
            "top_reference": query.answer.found,
            "top_is_right": query.answer.is_right,
            "end_errors_s": end_errors(query, level),
            "duration_s": run.durations_s.get(f"queries/{query.name}"),
            "timings_ms": list(_timings(run, query.name).items()),
            "failure": failures.get(f"queries/{query.name}", ""),
        }
        for query in queries
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=_QUERIES), path)


def _pair_rows(
    query: AnsweredQuery, references: Sequence[str], peers: Mapping[str, ScoredQuery]
) -> Iterator[dict[str, object]]:
    matches = {match.reference_id: (place, match) for place, match in enumerate(query.matches, 1)}
    theirs = {
        name: dict(zip(scored.references, scored.scores.tolist(), strict=True))
        for name, scored in peers.items()
    }
    for reference in references:
        place, match = matches.get(reference, (None, None))
        yield {
            "query": query.name,
            "attack": query.attack,
            "strength": query.strength,
            "reference": reference,
            "is_copy": reference in query.expected,
            "place": place,
            "probability": match.probability if match else None,
            "similarity": match.similarity if match else None,
            "segments": _segments(match) if match else None,
            **{name: scores.get(reference) for name, scores in theirs.items()},
        }


def _segments(match: Match) -> list[dict[str, object]]:
    names = [field.name for field in _SEGMENTS.value_type]
    return [{name: getattr(segment, name) for name in names} for segment in match.segments]


def _timings(run: SuiteRun, name: str) -> Mapping[str, float]:
    verdict = run.verdicts.get(name)
    return verdict.timings_ms if verdict else {}
