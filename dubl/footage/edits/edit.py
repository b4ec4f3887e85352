"""What an edit is: a clip in, a changed clip out, and which seconds show which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from dubl.footage.clips import Clip, Paint, painted
from dubl.footage.video_file import Encoding, Size


class Family(StrEnum):
    """What an edit touches; a chain takes at most one edit of each family, in this order."""

    TEMPORAL = "temporal"
    GEOMETRIC = "geometric"
    PHOTOMETRIC = "photometric"
    FRAMING = "framing"
    OVERLAY = "overlay"
    MIXING = "mixing"
    CODING = "coding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Seconds of the result and the seconds of the original that they show, in proportion.

    reversed: the original runs backwards; start and end still grow.
    """

    query_start_s: float
    query_end_s: float
    reference_start_s: float
    reference_end_s: float
    reversed: bool = False

    def reference_at(self, query_s: float) -> float:
        """The second of the original that `query_s` shows."""
        length_s = self.query_end_s - self.query_start_s
        part = (query_s - self.query_start_s) / length_s
        part = 1 - part if self.reversed else part
        return self.reference_start_s + part * (self.reference_end_s - self.reference_start_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What an edit may use: a strength from 0 (hardly seen) to 1 (hard), chance, another clip."""

    strength: float
    rng: np.random.Generator
    donor: Clip | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"a strength must be in 0..1, not {self.strength}")

    def between(self, mild: float, strong: float) -> float:
        """The value on the way from `mild` to `strong` that the strength asks for."""
        return mild + self.strength * (strong - mild)

    def sign(self) -> int:
        return int(self.rng.choice([-1, 1]))

    def foreign(self) -> Clip:
        if self.donor is None:
            raise ValueError("this edit needs a donor, a second video")
        return self.donor


@dataclass(frozen=True, slots=True, kw_only=True)
class EditedClip:
    """The result of an edit; `spans` is the truth, in order of query time.

    steps: names of the edits inside a chain.
    """

    clip: Clip
    spans: tuple[Span, ...]
    encoding: Encoding = field(default_factory=Encoding)
    steps: tuple[str, ...] = ()


Apply = Callable[[Clip, Draw], EditedClip]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A named way to change a video; `needs_donor`: it shows another video as well."""

    name: str
    family: Family
    summary: str
    apply: Apply
    needs_donor: bool = False


def edit(family: Family, summary: str, *, needs_donor: bool = False) -> Callable[[Apply], Edit]:
    """Makes an Edit of a function, under the function's name.

    Nothing else is needed: dubl.footage.edits.registry lists the edits of each family's module in
    the order in which they stand there. `summary` is what command lines and docs say of it.
    """

    def named(apply: Apply) -> Edit:
        return Edit(
            name=apply.__name__,
            family=family,
            summary=summary,
            apply=apply,
            needs_donor=needs_donor,
        )

    return named


def repainted(clip: Clip, size: Size, paint: Paint) -> EditedClip:
    """Each picture changed, time untouched."""
    return EditedClip(clip=painted(clip, size, paint), spans=whole(clip))


def whole(clip: Clip) -> tuple[Span, ...]:
    """The truth of an edit that leaves time alone."""
    end_s = clip.duration_s
    return (
        Span(query_start_s=0.0, query_end_s=end_s, reference_start_s=0.0, reference_end_s=end_s),
    )


def composed(later: Sequence[Span], earlier: Sequence[Span]) -> tuple[Span, ...]:
    """The truth of two edits, one after the other: `later` maps into the result of `earlier`."""
    return tuple(
        joint
        for outer in later
        for inner in _in_shown_order(earlier, backwards=outer.reversed)
        if (joint := _joint(outer, inner)) is not None
    )


def _in_shown_order(spans: Sequence[Span], *, backwards: bool) -> Iterable[Span]:
    return reversed(spans) if backwards else spans


def _joint(outer: Span, inner: Span) -> Span | None:
    """The part of `outer` that shows `inner`: q → middle → original."""
    start_s = max(outer.reference_start_s, inner.query_start_s)
    end_s = min(outer.reference_end_s, inner.query_end_s)
    if end_s - start_s < 1e-6:
        return None
    query = sorted((_query_at(outer, start_s), _query_at(outer, end_s)))
    reference = sorted((inner.reference_at(start_s), inner.reference_at(end_s)))
    return Span(
        query_start_s=query[0],
        query_end_s=query[1],
        reference_start_s=reference[0],
        reference_end_s=reference[1],
        reversed=outer.reversed != inner.reversed,
    )


def _query_at(span: Span, reference_s: float) -> float:
    length_s = span.reference_end_s - span.reference_start_s
    part = (reference_s - span.reference_start_s) / length_s
    part = 1 - part if span.reversed else part
    return span.query_start_s + part * (span.query_end_s - span.query_start_s)
