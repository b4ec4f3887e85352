"""A user's labeled pairs: a CSV with the columns query, reference and label."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from dubl.errors import ConfigurationError

COLUMNS = ("query", "reference", "label")
LABELS = {"1": True, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledPair:
    """Two videos, and whether the query is a copy of the reference in its owner's eyes."""

    query: Path
    reference: Path
    copy: bool


def read_pairs(path: Path) -> list[LabeledPair]:
    """Reads the CSV; relative paths start at its folder. Raises ConfigurationError with the row.

    Rows are counted as in an editor: the header is row 1.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = set(COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise ConfigurationError(f"{path} lacks the columns {', '.join(sorted(missing))}")
            pairs = [_pair(path, reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise ConfigurationError(f"{path} is not a readable CSV: {exc}") from exc
    if len({pair.copy for pair in pairs}) < 2:
        raise ConfigurationError(f"{path} must hold pairs of both labels, 1 and 0")
    return pairs


def _pair(path: Path, number: int, row: dict[str, str | None]) -> LabeledPair:
    query, reference, label = ((row[name] or "").strip() for name in COLUMNS)
    if label not in LABELS:
        raise ConfigurationError(f"{path}, row {number}: label must be 1 or 0, not '{label}'")
    videos = []
    for name, text in (("query", query), ("reference", reference)):
        video = path.parent / text
        if not text or not video.is_file():
            raise ConfigurationError(f"{path}, row {number}: {name} '{text}' is no file")
        videos.append(video)
    return LabeledPair(query=videos[0], reference=videos[1], copy=LABELS[label])
