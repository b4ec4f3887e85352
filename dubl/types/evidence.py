"""Why a match was found, as people see it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dubl.types.library import StoredVideo
from dubl.types.video import Float32Array, Float64Array


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
    """One edit that was seen. `value` is explained beside each kind."""

    kind: HintKind
    value: float = 1.0
    box: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedMatrix:
    """Similarity [T,U] in [0,1]; row and column times in seconds ascend. The picture goes from 0
    to the durations: query seconds downwards, reference seconds to the right."""

    similarity: Float32Array
    query_times_s: Float64Array
    reference_times_s: Float64Array
    query_duration_s: float
    reference_duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePair:
    """Two instants that belong together, and how alike their frames are."""

    segment: int
    query_s: float
    reference_s: float
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrices:
    """`frames` is what alignment reads; `cleaned` what the comparator network makes of the frames
    of the query's best view, None where no network is in use."""

    frames: TimedMatrix
    cleaned: TimedMatrix | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`reference` is None where nothing of it is kept to be looked at."""

    query: StoredVideo
    reference: StoredVideo | None
    reference_duration_s: float
    pairs: tuple[FramePair, ...]
    hints: tuple[Hint, ...]
