"""VSC2022 as its authors publish it, as a suite (Pizzi et al., 2024: The 2023 Video Similarity
Dataset and Challenge).

The folder of one phase holds `query/` and `reference/`, with a video for each id, and a CSV of true
matches (COLUMNS; seconds).
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from dubl.errors import InvalidRequest
from dubl.evaluation.metrics.segments import ScoredSegment
from dubl.evaluation.suite import QUERIES, REFERENCES, SuiteTruth, TrueMatch, TrueQuery, find_videos

THEIR_QUERIES, THEIR_REFERENCES = "query", "reference"
COLUMNS = ("query_id", "ref_id", "query_start", "query_end", "ref_start", "ref_end")
COPY, STRANGER = "copy", "stranger"


def is_vsc2022(folder: Path) -> bool:
    return (folder / THEIR_QUERIES).is_dir() and (folder / THEIR_REFERENCES).is_dir()


def read_vsc2022(folder: Path, suite: Path) -> SuiteTruth:
    """The truth of a phase. The folder `suite` gets links to its videos, named by their ids.

    Raises InvalidRequest if there is no ground truth, or not exactly one.
    """
    matches: dict[str, list[TrueMatch]] = defaultdict(list)
    for row in _ground_truth(folder):
        query, reference, *times = (row[column] for column in COLUMNS)
        q_start, q_end, r_start, r_end = map(float, times)
        match = TrueMatch(reference=reference, q=(q_start, q_end), r=(r_start, r_end))
        matches[query].append(match)
    queries = _linked(folder / THEIR_QUERIES, suite / QUERIES)
    references = _linked(folder / THEIR_REFERENCES, suite / REFERENCES)
    return SuiteTruth(
        references=references,
        queries={
            one: TrueQuery(
                attack=COPY if one in matches else STRANGER, matches=tuple(matches.get(one, ()))
            )
            for one in queries
        },
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


def _ground_truth(folder: Path) -> Sequence[dict[str, str]]:
    found = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            if set(COLUMNS) <= set(table.fieldnames or ()):
                found.append(list(table))
    if len(found) != 1:
        raise InvalidRequest(f"{folder} holds {len(found)} files of true matches, not one")
    return found[0]


def _linked(folder: Path, links: Path) -> tuple[str, ...]:
    links.mkdir(parents=True)
    videos = find_videos(folder)
    for video in videos:
        (links / video.stem).symlink_to(video.resolve())
    return tuple(video.stem for video in videos)
