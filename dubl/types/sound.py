"""The sound of a video: SoundClip → SoundFeatures → SoundSegment."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from dubl.types.arrays import Float16Array, Float64Array, Uint8Array


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundSpec:
    """The space in which descriptors of sound live; two sounds are comparable only within one.

    A descriptor describes `window_s` seconds; windows start each `step_s` seconds.
    """

    model_id: str
    weights_sha256: str
    sample_rate_hz: int
    window_s: float
    step_s: float
    dims: int

    @property
    def space_id(self) -> str:
        """Twelve hex digits that differ wherever descriptors may not be mixed."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundClip:
    """The decoded sound of one video, as levels of frequency bands.

    bands uint8 [T,B], one row each `step_s` seconds. The first row is at `start_s` on the video's
    clock; gaps are filled with silence.
    """

    bands: Uint8Array
    step_s: float
    start_s: float

    def __post_init__(self) -> None:
        if self.bands.ndim != 2 or self.bands.dtype != "uint8":
            raise ValueError(f"bands must be uint8 [T,B], not {self.bands.dtype}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundFeatures:
    """Descriptors of the windows of one video's sound.

    descriptors float16 [M,D] unit length; times_s float64 [M] ascending, starts of the windows on
    the video's clock. Windows that prove nothing (silence, a hum) are left out; M may be 0.
    """

    descriptors: Float16Array
    times_s: Float64Array
    duration_s: float
    spec: SoundSpec

    def __post_init__(self) -> None:
        if self.descriptors.shape != (*self.times_s.shape, self.spec.dims):
            raise ValueError(f"descriptors are {self.descriptors.shape}, spec: {self.spec}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundSegment:
    """A segment that two sounds share, in seconds of either video.

    similarity: mean cosine along it. likelihood: in [0,1], that it is no accident.
    """

    query_start_s: float
    query_end_s: float
    reference_start_s: float
    reference_end_s: float
    similarity: float
    likelihood: float

    @property
    def speed(self) -> float:
        """Reference seconds that pass in one query second."""
        query_s = max(self.query_end_s - self.query_start_s, 1e-6)
        return (self.reference_end_s - self.reference_start_s) / query_s
