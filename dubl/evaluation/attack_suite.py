"""Makes a benchmark of copies from any videos.

The suite is a folder: references/ (the library), queries/ (edited copies, strangers and hard
negatives, as encoded files) and truth.json (suite.py). Everything follows from the seed;
each query draws from a generator of its own, so that other edits or videos do not change it.
"""

from __future__ import annotations

import logging
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from dubl.errors import InvalidRequest, MediaError
from dubl.evaluation.suite import (
    QUERIES,
    REFERENCES,
    Failure,
    SuiteRoles,
    SuiteTruth,
    TrueMatch,
    TrueQuery,
)
from dubl.footage.clips import Clip, cut, open_clip, write_clip
from dubl.footage.edits.edit import Draw, Edit, EditedClip, Span, composed, whole
from dubl.footage.edits.registry import REGISTRY, applied_in_turn, drawn_chain, find_edit
from dubl.footage.hard_negatives import negative_pairs
from dubl.footage.video_file import Encoding, probe

logger = logging.getLogger(__name__)

STRANGER = "stranger"
EDITED_STRANGER = "edited_stranger"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedEdit:
    """An edit of the suite; a `strength` of None is drawn for each query."""

    edit: Edit
    strength: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteOptions:
    """The content of a suite.

    edits: names of the registry, optionally with a strength: "name:0.8".
    per_reference: edits for each reference, assigned in turn so that all are used equally; 0: all.
    strengths: range from which other strengths are drawn.
    longest_s: longest part of a video in a query, from anywhere in it.
    max_side: larger pictures are scaled down before the edit, in pixels.
    """

    edits: tuple[str, ...] = tuple(REGISTRY)
    per_reference: int = 4
    strengths: tuple[float, float] = (0.1, 0.9)
    longest_s: float = 60.0
    max_side: int = 640
    seed: int = 0

    def plan(self) -> list[PlannedEdit]:
        """The edits. Raises InvalidRequest for unknown ones."""
        return [_planned(text) for text in self.edits]


def write_suite(folder: Path, roles: SuiteRoles, *, options: SuiteOptions) -> SuiteTruth:
    """Writes the whole suite. Videos that cannot be decoded are listed as failures.

    Raises InvalidRequest if `folder` is not empty, an edit is unknown, or an edit needs foreign
    footage and there is no stranger.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InvalidRequest(f"{folder} is not empty; an attack suite needs a folder of its own")
    plan = options.plan()
    _require_lenders(plan, len(roles.strangers))
    for part in (REFERENCES, QUERIES):
        (folder / part).mkdir(parents=True)
    suite = _Suite(folder=folder, options=options)
    strangers = [clip for _, clip in suite.opened(roles.strangers)]
    _require_lenders(plan, len(strangers))
    _add_copies(suite, roles, plan, strangers)
    _add_strangers(suite, roles)
    _add_negatives(suite, roles)
    truth = SuiteTruth(
        references=tuple(suite.references),
        queries=suite.queries,
        failures=tuple(suite.failures),
    )
    truth.write(folder)
    return truth


@dataclass(slots=True, kw_only=True)
class _Suite:
    """The suite during writing. `references`: seconds by name."""

    folder: Path
    options: SuiteOptions
    references: dict[str, float] = field(default_factory=dict)
    queries: dict[str, TrueQuery] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def rng(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self.options.seed, zlib.crc32(name.encode())])

    def opened(self, paths: Sequence[Path]) -> Iterator[tuple[Path, Clip]]:
        """The videos that can be decoded; the others become failures, once each."""
        for path in paths:
            try:
                yield path, open_clip(path, max_side=self.options.max_side)
            except MediaError as exc:
                self.fail(path.name, exc)

    def fail(self, video: str, error: MediaError) -> None:
        failure = Failure(video=video, code=error.code, detail=error.detail)
        if failure not in self.failures:
            logger.warning("%s was skipped: %s", video, error.detail)
            self.failures.append(failure)

    def add_reference(self, path: Path) -> str:
        """Copies the file as it is; returns its name in the suite."""
        name = path.name
        while name in self.references:
            name = f"again_{name}"
        shutil.copyfile(path, self.folder / REFERENCES / name)
        self.references[name] = probe(path).duration_s
        return name

    def add_query(
        self,
        name: str,
        edited: EditedClip,
        *,
        attack: str,
        strength: float | None = None,
        reference: str | None = None,
    ) -> None:
        """Encodes a query; clips its truth to the real durations of the files.

        reference: the video to which the spans of `edited` refer; None for a query that copies
        nothing.
        """
        path = self.folder / QUERIES / f"{name}{edited.encoding.suffix}"
        if not self.written(path, edited.clip, edited.encoding):
            return
        duration_s = probe(path).duration_s
        self.queries[path.name] = TrueQuery(
            attack=attack,
            matches=() if reference is None else self._matches(edited, reference, duration_s),
            strength=strength,
            steps=edited.steps,
            duration_s=round(duration_s, 3),
        )
        logger.info("%s: %.1f s", path.name, duration_s)

    def written(self, path: Path, clip: Clip, encoding: Encoding | None = None) -> bool:
        """Encodes a clip; returns False and records a failure if its source is truncated."""
        try:
            write_clip(path, clip, encoding=encoding)
        except MediaError as exc:
            path.unlink(missing_ok=True)
            self.fail(path.name, exc)
            return False
        return True

    def _matches(
        self, edited: EditedClip, reference: str, duration_s: float
    ) -> tuple[TrueMatch, ...]:
        longest_s = self.references[reference]

        def clipped(start_s: float, end_s: float, limit_s: float) -> tuple[float, float]:
            return round(min(start_s, limit_s), 3), round(min(end_s, limit_s), 3)

        return tuple(
            TrueMatch(
                reference=reference,
                q=clipped(span.query_start_s, span.query_end_s, duration_s),
                r=clipped(span.reference_start_s, span.reference_end_s, longest_s),
                reversed=span.reversed,
            )
            for span in edited.spans
        )


def _add_copies(
    suite: _Suite, roles: SuiteRoles, plan: Sequence[PlannedEdit], lenders: Sequence[Clip]
) -> None:
    order = suite.rng("order").permutation(len(plan))
    turns = cycle([plan[place] for place in order])
    for path, clip in suite.opened(roles.references):
        reference = suite.add_reference(path)
        for planned in islice(turns, suite.options.per_reference or len(plan)):
            name = f"{Path(reference).stem}__{planned.edit.name}"
            _add_copy(suite, name, reference, clip, planned, lenders)


def _add_copy(
    suite: _Suite,
    name: str,
    reference: str,
    clip: Clip,
    planned: PlannedEdit,
    lenders: Sequence[Clip],
) -> None:
    rng = suite.rng(name)
    strength = planned.strength
    if strength is None:
        strength = round(float(rng.uniform(*suite.options.strengths)), 2)
    donor = _lender(lenders, rng) if lenders else None
    part, taken = _excerpt(clip, suite.options.longest_s, rng)
    edited = planned.edit.apply(part, Draw(strength=strength, rng=rng, donor=donor))
    suite.add_query(
        name,
        replace(edited, spans=composed(edited.spans, taken)),
        attack=planned.edit.name,
        strength=strength,
        reference=reference,
    )


def _add_strangers(suite: _Suite, roles: SuiteRoles) -> None:
    """Adds each stranger as a query, every other one after two edits."""
    for place, (path, clip) in enumerate(suite.opened(roles.strangers)):
        name = f"stranger_{place:03d}_{path.stem}"
        rng = suite.rng(name)
        part, _ = _excerpt(clip, suite.options.longest_s, rng)
        edited = EditedClip(clip=part, spans=whole(part))
        if place % 2:
            draw = Draw(strength=0.4, rng=rng)
            edited = applied_in_turn(drawn_chain(2, rng), part, draw)
        suite.add_query(name, edited, attack=EDITED_STRANGER if place % 2 else STRANGER)


def _add_negatives(suite: _Suite, roles: SuiteRoles) -> None:
    rng = suite.rng("negatives")
    clips = [
        _excerpt(clip, suite.options.longest_s, rng)[0] for _, clip in suite.opened(roles.negatives)
    ]
    for place, pair in enumerate(negative_pairs(clips, rng)):
        name = f"negative_{place:03d}_{pair.kind}"
        reference = suite.folder / REFERENCES / f"{name}.mp4"
        if suite.written(reference, pair.reference):
            suite.references[reference.name] = probe(reference).duration_s
            query = EditedClip(clip=pair.query, spans=whole(pair.query))
            suite.add_query(name, query, attack=pair.kind)


def _lender(lenders: Sequence[Clip], rng: np.random.Generator) -> Clip:
    """A stranger, drawn by length: a copy inside two seconds of other footage would hardly be
    inside."""
    lengths_s = np.array([clip.duration_s for clip in lenders])
    return lenders[int(rng.choice(len(lenders), p=lengths_s / lengths_s.sum()))]


def _excerpt(
    clip: Clip, longest_s: float, rng: np.random.Generator
) -> tuple[Clip, tuple[Span, ...]]:
    """At most `longest_s` of the clip, and its place in the clip."""
    length = max(min(clip.frames, clip.frame_at(longest_s)), 1)
    first = int(rng.integers(0, clip.frames - length + 1))
    part = cut(clip, first, first + length)
    (span,) = whole(part)
    start_s = first / clip.frame_rate
    moved = replace(span, reference_start_s=start_s, reference_end_s=start_s + span.query_end_s)
    return part, (moved,)


def _require_lenders(plan: Sequence[PlannedEdit], lenders: int) -> None:
    needy = [planned.edit.name for planned in plan if planned.edit.needs_donor]
    if needy and not lenders:
        raise InvalidRequest(f"{', '.join(needy)} need a second video. Name some strangers.")


def _planned(text: str) -> PlannedEdit:
    name, _, strength = text.partition(":")
    try:
        return PlannedEdit(edit=find_edit(name), strength=_strength(strength) if strength else None)
    except ValueError as exc:
        raise InvalidRequest(f"edit {text!r}: {exc}") from exc


def _strength(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError("a strength must be in 0..1")
    return value
