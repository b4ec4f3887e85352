"""A user's labeled pairs: a CSV with the columns query, reference and label."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubl.errors import ConfigurationError

COLUMNS = ("query", "reference", "label")
LABELS = {"1": True, "0": False}
SHOWN = 5  # wrong rows in one message

Row = dict[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledPair:
    """Two videos, and whether the user calls the query a copy of the reference."""

    query: Path
    reference: Path
    copy: bool


def read_pairs(path: Path) -> list[LabeledPair]:
    """Reads the CSV; relative paths start at its folder. Raises ConfigurationError with the rows
    that are wrong, the first of them where there are many.

    Rows are counted as in an editor: the header is row 1.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = set(COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise ConfigurationError(f"{path} lacks the columns {', '.join(sorted(missing))}")
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise ConfigurationError(f"{path} is not a readable CSV: {exc}") from exc
    pairs = _valid(path, rows)
    if len({pair.copy for pair in pairs}) < 2:
        raise ConfigurationError(f"{path} must hold pairs of both labels, 1 and 0")
    return pairs


def _valid(path: Path, rows: Sequence[tuple[int, Row]]) -> list[LabeledPair]:
    """The pairs of all rows, each once; a pair may not have both labels."""
    labels: dict[tuple[Path, Path], tuple[bool, int]] = {}
    problems = []
    for number, row in rows:
        pair = _pair(path.parent, row)
        if isinstance(pair, str):
            problems.append(f"row {number}: {pair}")
            continue
        label, before = labels.setdefault((pair.query, pair.reference), (pair.copy, number))
        if label is not pair.copy:
            problems.append(f"row {number}: contradicts row {before}")
    if problems:
        more = f" (and {len(problems) - SHOWN} more)" if len(problems) > SHOWN else ""
        raise ConfigurationError(f"{path}, {'; '.join(problems[:SHOWN])}{more}")
    return [
        LabeledPair(query=query, reference=reference, copy=copy)
        for (query, reference), (copy, _) in labels.items()
    ]


def _pair(folder: Path, row: Row) -> LabeledPair | str:
    """The pair of a row, or its error."""
    query, reference, label = ((row[name] or "").strip() for name in COLUMNS)
    if label not in LABELS:
        return f"label must be 1 or 0, not '{label}'"
    for name, text in (("query", query), ("reference", reference)):
        if not text or not (folder / text).is_file():
            return f"{name} '{text}' is no file"
    return LabeledPair(query=folder / query, reference=folder / reference, copy=LABELS[label])
