"""The worst answers of a run, what to look at first, with frames at their matching moments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dubl.errors import DublError, SourceNotFound
from dubl.evaluation.benchmark.answers import AnsweredQuery
from dubl.evaluation.suite import QUERIES, REFERENCES, find_video
from dubl.footage.video_file import read_frames
from dubl.plots import FAINT, INK, PALE
from dubl.types import Match

MOMENTS = 4
PAPER = "white"
CELL = (228, 150)  # pixels of one frame with its room
GAP = 8
TEXT = 66


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Two videos and the moments to show: seconds of the query and of the reference, in pairs.

    `title` says what it is, `lines` one line under it for either video.
    """

    title: str
    lines: tuple[str, str]
    query: Path
    reference: Path
    moments: Sequence[tuple[float, float]]


def moments_of(
    query_s: tuple[float, float],
    reference_s: tuple[float, float],
    *,
    backwards: bool = False,
    count: int = MOMENTS,
) -> list[tuple[float, float]]:
    """`count` moments spread inside a common stretch, with the seconds of both sides."""
    parts = (np.arange(count) + 0.5) / count
    ahead = 1 - parts if backwards else parts
    times = query_s[0] + parts * (query_s[1] - query_s[0])
    theirs = reference_s[0] + ahead * (reference_s[1] - reference_s[0])
    return list(zip(times.tolist(), theirs.tolist(), strict=True))


def draw_strips(strips: Sequence[Strip]) -> Image.Image:
    """All strips below each other, the query's frames above the reference's."""
    height = TEXT + 2 * (CELL[1] + GAP) + 3 * GAP
    width = 2 * GAP + MOMENTS * (CELL[0] + GAP)
    page = Image.new("RGB", (width, max(height * len(strips), 1)), PAPER)
    for place, strip in enumerate(strips):
        _draw_strip(page, strip, top=place * height)
    return page


def _draw_strip(page: Image.Image, strip: Strip, *, top: int) -> None:
    pen = ImageDraw.Draw(page)
    pen.line([(0, top), (page.width, top)], fill=FAINT, width=2)
    pen.text((GAP, top + 8), strip.title, fill=INK, font=ImageFont.load_default(16))
    for row, line in enumerate(strip.lines):
        place = (GAP, top + 29 + 17 * row)
        pen.text(place, line, fill=PALE, font=ImageFont.load_default(13))
    for row, path in enumerate((strip.query, strip.reference)):
        for column, times in enumerate(strip.moments[:MOMENTS]):
            left = GAP + column * (CELL[0] + GAP)
            upper = top + TEXT + row * (CELL[1] + GAP)
            frame = _frame(path, times[row])
            page.paste(frame, (left + (CELL[0] - frame.width) // 2, upper))
            label = f"{times[row]:.1f} s"
            font = ImageFont.load_default(12)
            pen.text(
                (left + 3, upper + CELL[1] - 16),
                label,
                fill=INK,
                font=font,
                stroke_width=3,
                stroke_fill=PAPER,
            )


def _frame(path: Path, time_s: float) -> Image.Image:
    """The frame shown at a moment, made to fit a cell; an empty cell where there is none."""
    try:
        frames = read_frames(path, start_s=max(time_s, 0.0), max_side=2 * CELL[0])
        shown = next(frames, None)
    except DublError:
        shown = None
    if shown is None:
        return Image.new("RGB", CELL, FAINT)
    picture = Image.fromarray(shown.image)
    picture.thumbnail(CELL, Image.Resampling.LANCZOS)
    return picture


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
