"""What the layouts of public benchmarks have in common: videos by id, tables with a header."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dubl.errors import InvalidRequest
from dubl.evaluation.suite import QUERIES, REFERENCES, SuiteTruth, TrueMatch, TrueQuery

COPY, STRANGER = "copy", "stranger"


def videos_by_id(videos: Iterable[Path]) -> dict[str, Path]:
    """Files by their names without suffix, which benchmarks use as ids."""
    return {video.stem: video for video in videos}


def linked_suite(
    suite: Path,
    *,
    queries: Mapping[str, Path],
    references: Mapping[str, Path],
    matches: Mapping[str, Sequence[TrueMatch]],
) -> SuiteTruth:
    """The truth of these files, by id; the folder `suite` gets links to them.

    `matches`: by query. A reference with a query's own id is left out of its question. Truth about
    videos that are not at hand is left out too.
    """
    for part, files in ((QUERIES, queries), (REFERENCES, references)):
        (suite / part).mkdir(parents=True)
        for name, file in files.items():
            (suite / part / name).symlink_to(file.resolve())
    return SuiteTruth(
        references=tuple(references),
        queries={
            name: _query(
                name, [one for one in matches.get(name, ()) if one.reference in references]
            )
            for name in queries
        },
    )


def _query(name: str, matches: Sequence[TrueMatch]) -> TrueQuery:
    attack = COPY if matches else STRANGER
    return TrueQuery(attack=attack, matches=tuple(matches), left_out=(name,))


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV with at least these columns. Raises InvalidRequest."""
    rows = find_table(path, columns)
    if rows is None:
        raise InvalidRequest(f"{path} is no table with the columns {', '.join(columns)}")
    return rows


def find_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]] | None:
    """The rows of a CSV; None without these columns. Raises InvalidRequest if it is unreadable."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            return list(table) if set(columns) <= set(table.fieldnames or ()) else None
    except (OSError, ValueError) as exc:
        raise InvalidRequest(f"{path} cannot be read: {exc}") from exc
