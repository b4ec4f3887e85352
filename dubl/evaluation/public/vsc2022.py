"""VSC2022 as its authors publish it (Pizzi et al., 2024: The 2023 Video Similarity Dataset and
Challenge).

The folder of one phase holds `query/` and `reference/`, with a video for each id, and a CSV of true
matches (COLUMNS; seconds).
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from dubl.errors import InvalidRequest
from dubl.evaluation.metrics.segments import ScoredSegment
from dubl.evaluation.public.layout import find_table, linked_suite, videos_by_id
from dubl.evaluation.suite import SuiteTruth, TrueMatch, find_videos

COLUMNS = ("query_id", "ref_id", "query_start", "query_end", "ref_start", "ref_end")


def read_vsc2022(folder: Path, suite: Path) -> SuiteTruth:
    """The truth of a phase; `suite`: as in linked_suite.

    Raises InvalidRequest if there is no ground truth, or not exactly one.
    """
    matches: dict[str, list[TrueMatch]] = defaultdict(list)
    for row in _ground_truth(folder):
        query, reference, *times = (row[column] for column in COLUMNS)
        q_start, q_end, r_start, r_end = map(float, times)
        match = TrueMatch(reference=reference, q=(q_start, q_end), r=(r_start, r_end))
        matches[query].append(match)
    return linked_suite(
        suite,
        queries=videos_by_id(find_videos(folder / "query")),
        references=videos_by_id(find_videos(folder / "reference")),
        matches=matches,
    )


def write_matches(path: Path, segments: Iterable[ScoredSegment]) -> None:
    """A file of matches as the challenge's own evaluation takes it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*COLUMNS, "score"])
        for one in segments:
            (q_start, q_end), (r_start, r_end) = one.axes
            times = (q_start, q_end, r_start, r_end)
            rows.writerow([one.query_id, one.reference_id, *times, one.score])


def _ground_truth(folder: Path) -> list[dict[str, str]]:
    tables = [find_table(path, COLUMNS) for path in sorted(folder.glob("*.csv"))]
    found = [table for table in tables if table is not None]
    if len(found) != 1:
        raise InvalidRequest(f"{folder} holds {len(found)} files of true matches, not one")
    return found[0]
