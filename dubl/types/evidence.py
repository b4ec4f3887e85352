"""The explanation of a match, for reviewers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dubl.types.arrays import Float32Array, Float64Array
from dubl.types.library import StoredVideo


class HintKind(StrEnum):
    MIRRORED = "mirrored"
    ROTATED = "rotated"  # value: degrees, clockwise
    INSET = "inset"  # the reference fills `box` of the query; value: its share of the area
    CROPPED = "cropped"  # the query shows `box` of the reference; value: its share of the area
    GRAY = "gray"
    SPEED = "speed"  # value: reference seconds that pass in one query second
    REVERSED = "reversed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A part of a picture; all in shares of its width and height, from the upper left corner."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """A detected edit. `value` is explained beside each kind."""

    kind: HintKind
    value: float = 1.0
    box: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedMatrix:
    """Similarity [T,U] in [0,1], with ascending row and column times in seconds.

    Its picture spans both durations: query seconds downwards, reference seconds to the right.
    """

    similarity: Float32Array
    query_times_s: Float64Array
    reference_times_s: Float64Array
    query_duration_s: float
    reference_duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePair:
    """Two corresponding instants, and the similarity of their frames."""

    segment: int
    query_s: float
    reference_s: float
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrices:
    """frames: the matrix that alignment reads; None if one side is sound alone. cleaned: the
    comparator network's output for the query's best view; None without a network, or without
    frames. sound: of windows of sound; None unless both sides have one that was described alike.
    """

    frames: TimedMatrix | None
    cleaned: TimedMatrix | None
    sound: TimedMatrix | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`reference` is None if no evidence of it is stored."""

    query: StoredVideo
    reference: StoredVideo | None
    reference_duration_s: float
    pairs: tuple[FramePair, ...]
    hints: tuple[Hint, ...]
