"""DISC21 as its authors publish it (Douze et al., 2021: The 2021 Image Similarity Dataset and
Challenge).

The folder holds `queries/` and `references/` with a JPEG for each id, and one CSV of true pairs
(COLUMNS, with or without this header). A query that copies nothing has no reference in it. Each
picture becomes a video of one second, as only videos can be asked about.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from dubl.errors import InvalidRequest
from dubl.evaluation.public.layout import linked_suite
from dubl.evaluation.suite import UNTIMED, SuiteTruth, TrueMatch
from dubl.footage.clips import drawn, even, scaled, write_clip

COLUMNS = ("query_id", "reference_id")
PICTURES = "*.jpg"
RATE, SECONDS = 4.0, 1.0  # pictures a second of such a video, and its length


def read_disc21(folder: Path, suite: Path) -> SuiteTruth:
    """The truth of the pictures that the list of pairs names; `suite`: as in linked_suite.

    A query that the list does not name is left out. All references count, as distractors. Raises
    InvalidRequest.
    """
    matches = _pairs(folder)
    queries = {path.stem: path for path in _pictures(folder / "queries") if path.stem in matches}
    references = {path.stem: path for path in _pictures(folder / "references")}
    films = suite / "films"
    return linked_suite(
        suite,
        queries=_films(queries, films / "queries"),
        references=_films(references, films / "references"),
        matches=matches,
    )


def _pairs(folder: Path) -> dict[str, list[TrueMatch]]:
    """True matches by query, also of those that copy nothing."""
    paths = sorted(folder.glob("*.csv"))
    if len(paths) != 1:
        raise InvalidRequest(f"{folder} holds {len(paths)} files of true pairs, not one")
    matches: dict[str, list[TrueMatch]] = defaultdict(list)
    with paths[0].open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            if tuple(row) == COLUMNS:
                continue
            if len(row) != len(COLUMNS):
                raise InvalidRequest(f"{paths[0]} has a row of {len(row)} values, not 2")
            query, reference = row
            found = [TrueMatch(reference=reference, q=UNTIMED, r=UNTIMED)] if reference else []
            matches[query] += found
    return matches


def _pictures(folder: Path) -> list[Path]:
    return sorted(folder.rglob(PICTURES))


def _films(pictures: dict[str, Path], folder: Path) -> dict[str, Path]:
    folder.mkdir(parents=True)
    films = {name: folder / f"{name}.mp4" for name in pictures}
    for name, path in pictures.items():
        _write_film(path, films[name])
    return films


def _write_film(picture: Path, film: Path) -> None:
    try:
        with Image.open(picture) as opened:
            image = np.asarray(opened.convert("RGB"))
    except (OSError, UnidentifiedImageError) as exc:
        raise InvalidRequest(f"{picture} is no picture: {exc}") from exc
    size = even(image.shape[1], image.shape[0])
    shown = scaled(image, size)
    write_clip(film, drawn(size, RATE, SECONDS, lambda _: shown))
