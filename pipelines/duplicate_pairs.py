"""The state of a search for duplicates: a DuckDB file, from which it can be continued.

A pair is a row with its smaller id first: it is found from either side and compared once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from dubl.closing import Closing
from dubl.errors import ConfigurationError, StoreUnavailable
from dubl.types import Segment

Row = tuple[Any, ...]  # DuckDB's values have the columns' types

FETCHED_ROWS = 1024
SCHEMA = """
CREATE TABLE IF NOT EXISTS origin (library VARCHAR, space_id VARCHAR);
CREATE TABLE IF NOT EXISTS searched (id VARCHAR PRIMARY KEY);
CREATE TABLE IF NOT EXISTS pairs (
    a VARCHAR, b VARCHAR, compared BOOLEAN DEFAULT FALSE,
    probability DOUBLE, similarity DOUBLE, segments VARCHAR, PRIMARY KEY (a, b)
);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPair:
    """Two references, `a` < `b`; segments have `a` as the query."""

    a: str
    b: str
    probability: float
    similarity: float
    segments: tuple[Segment, ...] = ()


class DuplicatePairs(Closing):
    """Raises StoreUnavailable for a file that cannot be written or is in use."""

    def __init__(self, path: Path, *, library: str, space_id: str) -> None:
        """Raises ConfigurationError for a file of another library or model."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = duckdb.connect(str(path))
            self._database.execute(SCHEMA)
        except (OSError, duckdb.Error) as exc:
            raise StoreUnavailable(f"{path} cannot be opened: {exc}") from exc
        origin = self._database.execute("SELECT library, space_id FROM origin").fetchone()
        if origin is None:
            self._database.execute("INSERT INTO origin VALUES (?, ?)", [library, space_id])
        elif origin != (library, space_id):
            raise ConfigurationError(
                f"{path} belongs to library '{origin[0]}' in feature space {origin[1]}, "
                f"not to '{library}' in {space_id}; choose another --out"
            )

    def close(self) -> None:
        self._database.close()

    def unsearched(self, ids: Sequence[str]) -> list[str]:
        """Those of the ids whose candidates have not been looked up."""
        found = self._database.execute(
            "SELECT id FROM unnest(?) AS asked(id) ANTI JOIN searched USING (id) ORDER BY id",
            [list(ids)],
        )
        return [row[0] for row in found.fetchall()]

    def add_candidates(self, rows: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Notes, for each reference, which others look like it."""
        pairs = [sorted((one, other)) for one, others in rows for other in others if other != one]
        self._database.begin()
        if pairs:
            self._database.executemany(
                "INSERT INTO pairs (a, b) VALUES (?, ?) ON CONFLICT DO NOTHING", pairs
            )
        if rows:
            self._database.executemany(
                "INSERT INTO searched VALUES (?) ON CONFLICT DO NOTHING", [[one] for one, _ in rows]
            )
        self._database.commit()

    def uncompared(self) -> Iterator[tuple[str, str]]:
        """Pairs still to be compared, in order."""
        query = "SELECT a, b FROM pairs WHERE NOT compared ORDER BY a, b"
        yield from _rows(self._database.cursor().execute(query))

    def add_compared(self, pairs: Sequence[ComparedPair]) -> None:
        self._database.begin()
        if pairs:
            self._database.executemany(
                "UPDATE pairs SET compared = TRUE, probability = ?, similarity = ?, segments = ? "
                "WHERE a = ? AND b = ?",
                [
                    [
                        pair.probability,
                        pair.similarity,
                        json.dumps([asdict(segment) for segment in pair.segments]),
                        pair.a,
                        pair.b,
                    ]
                    for pair in pairs
                ],
            )
        self._database.commit()

    def matches(self, *, min_probability: float) -> Iterator[ComparedPair]:
        """Compared pairs of at least this probability, in order."""
        query = (
            "SELECT a, b, probability, similarity, segments FROM pairs "
            "WHERE compared AND probability >= ? ORDER BY a, b"
        )
        for a, b, probability, similarity, segments in _rows(
            self._database.cursor().execute(query, [min_probability])
        ):
            yield ComparedPair(
                a=a,
                b=b,
                probability=probability,
                similarity=similarity,
                segments=tuple(Segment(**segment) for segment in json.loads(segments)),
            )

    def counts(self) -> tuple[int, int]:
        """Searched references, compared pairs."""
        searched = self._database.execute("SELECT count(*) FROM searched").fetchone()
        compared = self._database.execute("SELECT count(*) FROM pairs WHERE compared").fetchone()
        assert searched is not None
        assert compared is not None
        return int(searched[0]), int(compared[0])


def _rows(result: duckdb.DuckDBPyConnection) -> Iterator[Row]:
    while rows := result.fetchmany(FETCHED_ROWS):
        yield from rows
