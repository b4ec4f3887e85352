"""Public benchmarks as their authors publish them.

Dubl has none of their videos; small folders of their layouts are tested. A reader takes a folder as
published and a new folder `suite`, which gets links to the videos.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from dubl.errors import InvalidRequest
from dubl.evaluation.metrics.segments import ScoredSegment
from dubl.evaluation.suite import (
    QUERIES,
    REFERENCES,
    UNTIMED,
    SuiteTruth,
    TrueMatch,
    TrueQuery,
    find_videos,
)
from dubl.footage.clips import drawn, even, scaled, write_clip

Content = TypeVar("Content")
Row = dict[str, str]
Matches = dict[str, list[TrueMatch]]

COPY, STRANGER = "copy", "stranger"
VIDEOS = "videos"
VSC_COLUMNS = ("query_id", "ref_id", "query_start", "query_end", "ref_start", "ref_end")
VCSL_PAIRS, VCSL_LABELS = "pair_file_test.csv", "label_file_uuid_total.json"
PAIR_COLUMNS = ("query_id", "reference_id")
FIVR_ANNOTATION = Path("dataset", "annotation.json")
RATE, SECONDS = 4.0, 1.0  # pictures a second of a picture's video, and its length

_Labels = TypeAdapter(dict[str, list[tuple[float, float, float, float]]])
_Annotation = TypeAdapter(dict[str, dict[str, list[str]]])


def read_vsc2022(folder: Path, suite: Path) -> SuiteTruth:
    """VSC2022 (Pizzi et al., 2024: The 2023 Video Similarity Dataset and Challenge).

    The folder of one phase holds `query/` and `reference/`, with a video for each id, and a CSV of
    true matches (VSC_COLUMNS; seconds). Raises InvalidRequest if there is not exactly one.
    """
    matches: Matches = defaultdict(list)
    for row in _one_table(folder):
        query, reference, *times = (row[column] for column in VSC_COLUMNS)
        q_start, q_end, r_start, r_end = map(float, times)
        match = TrueMatch(reference=reference, q=(q_start, q_end), r=(r_start, r_end))
        matches[query].append(match)
    return _linked(
        suite,
        queries=_by_id(find_videos(folder / "query")),
        references=_by_id(find_videos(folder / "reference")),
        matches=matches,
    )


def write_matches(path: Path, segments: Iterable[ScoredSegment]) -> None:
    """A file of matches as VSC2022's own evaluation takes it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*VSC_COLUMNS, "score"])
        for one in segments:
            (q_start, q_end), (r_start, r_end) = one.axes
            times = (q_start, q_end, r_start, r_end)
            rows.writerow([one.query_id, one.reference_id, *times, one.score])


def read_vcsl(folder: Path, suite: Path) -> SuiteTruth:
    """VCSL (He et al., 2022: A Large-scale Comprehensive Dataset and Copy-overlap Aware Evaluation
    Protocol for Segment-level Video Copy Detection).

    The folder holds VCSL_PAIRS (PAIR_COLUMNS), VCSL_LABELS and `videos/` with a video for each id.
    The labels give, by "query-reference", the boxes [query start, reference start, query end,
    reference end], in seconds. Every query is asked of all references, not only of its pairs.
    Raises InvalidRequest.
    """
    videos, labels = _by_id(find_videos(folder / VIDEOS)), _json(folder / VCSL_LABELS, _Labels)
    rows = _table(folder / VCSL_PAIRS, PAIR_COLUMNS)
    if rows is None:
        columns = ", ".join(PAIR_COLUMNS)
        raise InvalidRequest(f"{folder / VCSL_PAIRS} is no table with the columns {columns}")
    pairs = [(row["query_id"], row["reference_id"]) for row in rows]
    matches: Matches = defaultdict(list)
    for query, reference in dict.fromkeys(pairs):
        for q_start, r_start, q_end, r_end in labels.get(f"{query}-{reference}", ()):
            match = TrueMatch(reference=reference, q=(q_start, q_end), r=(r_start, r_end))
            matches[query].append(match)
    return _linked(
        suite,
        queries={one: videos[one] for one, _ in pairs if one in videos},
        references={one: videos[one] for _, one in pairs if one in videos},
        matches=matches,
    )


class Task(Enum):
    """A task of FIVR-200K, by the labels that count for it: ND near duplicate, DS duplicate scene,
    CS complementary scene, IS incident scene."""

    DSVR = ("ND", "DS")
    CSVR = ("ND", "DS", "CS")
    ISVR = ("ND", "DS", "CS", "IS")


def read_fivr(folder: Path, suite: Path, *, task: Task) -> SuiteTruth:
    """FIVR-200K (Kordopatis-Zilos et al., 2019: FIVR: Fine-grained Incident Video Retrieval).

    The folder holds FIVR_ANNOTATION and `videos/` with a video for each id of YouTube. The
    annotation gives, by query, the ids that have a label; it has no times. Every video is in the
    library; a query is not compared with itself. Raises InvalidRequest.
    """
    annotation = _json(folder / FIVR_ANNOTATION, _Annotation)
    videos = _by_id(find_videos(folder / VIDEOS))
    return _linked(
        suite,
        queries={query: videos[query] for query in annotation if query in videos},
        references=videos,
        matches={
            query: [_untimed(one) for label in task.value for one in labelled.get(label, ())]
            for query, labelled in annotation.items()
        },
    )


def read_disc21(folder: Path, suite: Path) -> SuiteTruth:
    """DISC21 (Douze et al., 2021: The 2021 Image Similarity Dataset and Challenge).

    The folder holds `queries/` and `references/` with a JPEG for each id, and one CSV of true pairs
    (PAIR_COLUMNS, with or without this header). A query that copies nothing has no reference in it;
    one that it does not name is left out. All references count, as distractors. Each picture
    becomes a video of one second, as only videos can be asked about. Raises InvalidRequest.
    """
    matches = _disc_pairs(folder)
    queries, references = (
        _by_id(sorted((folder / part).rglob("*.jpg"))) for part in ("queries", "references")
    )
    asked = {name: path for name, path in queries.items() if name in matches}
    films = suite / "films"
    return _linked(
        suite,
        queries=_films(asked, films / "queries"),
        references=_films(references, films / "references"),
        matches=matches,
    )


BENCHMARKS: Mapping[str, Callable[[Path, Path], SuiteTruth]] = {
    "vsc2022": read_vsc2022,
    "vcsl": read_vcsl,
    **{f"fivr-200k-{task.name.lower()}": partial(read_fivr, task=task) for task in Task},
    "disc21": read_disc21,
}


def read_benchmark(name: str, folder: Path, suite: Path) -> SuiteTruth:
    """The truth of a benchmark; the folder `suite` gets its videos. Raises InvalidRequest."""
    if name not in BENCHMARKS:
        raise InvalidRequest(f"unknown benchmark '{name}'; known: {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name](folder, suite)


def _by_id(videos: Iterable[Path]) -> dict[str, Path]:
    """Files by their names without suffix, which benchmarks use as ids."""
    return {video.stem: video for video in videos}


def _untimed(reference: str) -> TrueMatch:
    return TrueMatch(reference=reference, q=UNTIMED, r=UNTIMED)


def _linked(
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
    asked = {}
    for name in queries:
        known = tuple(one for one in matches.get(name, ()) if one.reference in references)
        attack = COPY if known else STRANGER
        asked[name] = TrueQuery(attack=attack, matches=known, left_out=(name,))
    return SuiteTruth(references=tuple(references), queries=asked)


def _json(path: Path, form: TypeAdapter[Content]) -> Content:
    """Raises InvalidRequest."""
    try:
        return form.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as exc:
        raise InvalidRequest(f"{path} has another form: {exc}") from exc


def _one_table(folder: Path) -> list[Row]:
    tables = [_table(path, VSC_COLUMNS) for path in sorted(folder.glob("*.csv"))]
    found = [table for table in tables if table is not None]
    if len(found) != 1:
        raise InvalidRequest(f"{folder} holds {len(found)} files of true matches, not one")
    return found[0]


def _table(path: Path, columns: Sequence[str]) -> list[Row] | None:
    """The rows of a CSV; None without these columns. Raises InvalidRequest if it is unreadable."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            return list(table) if set(columns) <= set(table.fieldnames or ()) else None
    except (OSError, ValueError) as exc:
        raise InvalidRequest(f"{path} cannot be read: {exc}") from exc


def _disc_pairs(folder: Path) -> Matches:
    """True matches by query, also of those that copy nothing."""
    paths = sorted(folder.glob("*.csv"))
    if len(paths) != 1:
        raise InvalidRequest(f"{folder} holds {len(paths)} files of true pairs, not one")
    matches: Matches = defaultdict(list)
    with paths[0].open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            if tuple(row) == PAIR_COLUMNS:
                continue
            if len(row) != len(PAIR_COLUMNS):
                raise InvalidRequest(f"{paths[0]} has a row of {len(row)} values, not 2")
            query, reference = row
            matches[query] += [_untimed(reference)] if reference else []
    return matches


def _films(pictures: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    folder.mkdir(parents=True)
    films = {name: folder / f"{name}.mp4" for name in pictures}
    for name, path in pictures.items():
        _write_film(path, films[name])
    return films


def _write_film(picture: Path, film: Path) -> None:
    try:
        with Image.open(picture) as opened:
            image = np.asarray(opened.convert("RGB"))
    except (OSError, Image.DecompressionBombError) as exc:
        raise InvalidRequest(f"{picture} is no picture: {exc}") from exc
    size = even(image.shape[1], image.shape[0])
    shown = scaled(image, size)
    write_clip(film, drawn(size, RATE, SECONDS, lambda _: shown))
