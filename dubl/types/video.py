"""The first hops of a video: VideoSource → FrameClip → VideoFeatures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from dubl.types.arrays import Float16Array, Float64Array, Uint8Array
from dubl.types.sound import SoundClip, SoundFeatures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Timings = Mapping[str, float]


class Note(StrEnum):
    """Something that a reader of an answer should know about the video."""

    JOINED = "joined"  # its clock starts anew or jumps; times are those that players show
    NOTHING_TO_SEE = "nothing_to_see"  # every sampled picture has one color
    FURTHER_STREAMS = "further_streams"  # its further video streams were checked, too
    UNREAD_STREAMS = "unread_streams"  # a further video stream was not checked
    FINGERPRINT = "fingerprint"  # its features were sent, so no pixels were compared
    NEEDS_VIDEO = "needs_video"  # of a fingerprint: with the video, further steps would decide
    SOUND_ALONE = "sound_alone"  # it has no video stream, so its sound alone was compared


NO_TIMINGS: Timings = MappingProxyType({})


WHOLE_FRAME = 0


MAX_VIEWS = 15  # of one instant, the whole frame included
MAX_FURTHER_STREAMS = 8  # video streams of a file that are read beside the shown one; chosen
# The view of whole frames of a file's first video stream, if players do not show it.
FIRST_STREAM = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSource:
    """A video file on this machine's disk, or its fingerprint.

    `path` is local and readable; `name` is the caller's name for it (file name or link). `sha256`:
    of this file. `fingerprint`: the file has features in place of pictures.
    """

    path: str
    sha256: str
    size_bytes: int
    name: str
    fingerprint: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The frames of a video to read, and their size in pixels.

    One frame each 1 / `rate_hz` seconds, but at least `min_frames` if the file has them: a
    two-second clip at one frame a second would leave nothing to align.
    `resize`: "squash" scales to frame_size x frame_size, ignoring the aspect ratio; "crop" scales
    the short side to frame_size * 8 / 7 and cuts out the center square (256 → 224, ViSiL).
    `views`: "whole" frames only, as for references; "parts" adds the picture inside bars, stacked
    screens and insets; "all" adds mirrored, rotated and negated frames, halves and the middle.
    Cropped pictures have whole frames only.
    `still_at_s`: of the whole file only the picture at that time; an image file has one.
    `times_s`: instead of regular ones the pictures at these times, ascending; they come as whole
    frames.
    `every_stream`: adds whole frames of the file's further video streams, as views: that of the
    stream at place p is FIRST_STREAM + p.
    `sound`: decodes the sound, too.
    `sound_alone`: a file without a video stream is read, too: its clip has no frames.
    `part_rows`: rows of one clip at most. A longer video is read in parts of so many; 0: never.
    """

    rate_hz: float
    min_frames: int
    frame_size: int
    resize: Literal["squash", "crop"] = "squash"
    views: Literal["whole", "parts", "all"] = "whole"
    still_at_s: float | None = None
    times_s: tuple[float, ...] = ()
    every_stream: bool = False
    sound: bool = False
    sound_alone: bool = False
    part_rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """Facts about the file from probing and decoding. Sizes are after rotation, in pixels.

    damaged: a part could not be read.
    """

    duration_s: float
    width: int
    height: int
    rotation_deg: int = 0
    codec: str = ""
    container: str = ""
    frame_rate_hz: float = 0.0
    backend: str = ""
    damaged: bool = False
    notes: tuple[Note, ...] = ()

    def size_within(self, side: int) -> tuple[int, int]:
        """Width and height in pixels, in the video's shape, with `side` as the longer side."""
        longer = max(self.width, self.height, 1)
        return max(1, round(side * self.width / longer)), max(1, round(side * self.height / longer))


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameClip:
    """Sampled frames of one video.

    frames uint8 [N,H,W,3] RGB; timestamps_s float64 [N], the true presentation times from the
    start of the video; views uint8 [N], 0 for whole frames, other numbers for parts of the same
    instant, or for other video streams (rows of one view are in order of time). sound: None if the
    video has none or it was not decoded.
    """

    frames: Uint8Array
    timestamps_s: Float64Array
    views: Uint8Array
    facts: VideoFacts
    timings_ms: Timings = field(default_factory=dict)
    sound: SoundClip | None = None

    def __post_init__(self) -> None:
        count = self.frames.shape[0]
        if self.frames.ndim != 4 or self.frames.shape[3] != 3 or self.frames.dtype != "uint8":
            raise ValueError(f"frames must be uint8 [N,H,W,3], not {_shape(self.frames)}")
        _require_rows(count, timestamps_s=self.timestamps_s, views=self.views)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnails:
    """JPEGs of whole frames at ascending times, for people."""

    times_s: tuple[float, ...]
    pictures: tuple[bytes, ...]
    facts: VideoFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """The space in which features live; two videos are comparable only within one.

    It travels with features and stands in the metadata of the stored tables.
    """

    model_id: str
    weights_sha256: str
    rate_hz: float
    frame_size: int
    resize: Literal["squash", "crop"]
    descriptor_dims: int
    regions: int
    region_dims: int

    @property
    def space_id(self) -> str:
        """Twelve hex digits that differ wherever features may not be mixed."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFeatures:
    """Features of one video: N rows in the order of FrameClip.

    descriptors float16 [N,D'] unit length; region_features float16 [N,R,D];
    timestamps_s float64 [N]; views uint8 [N]. damaged: part of the file could not be read; these
    are the features of the rest. sound: None if the video has none or it was not described.
    """

    descriptors: Float16Array
    region_features: Float16Array
    timestamps_s: Float64Array
    views: Uint8Array
    duration_s: float
    spec: FeatureSpec
    damaged: bool = False
    notes: tuple[Note, ...] = ()
    timings_ms: Timings = field(default_factory=dict)
    sound: SoundFeatures | None = None

    def __post_init__(self) -> None:
        count = self.timestamps_s.shape[0]
        _require_rows(count, descriptors=self.descriptors, views=self.views)
        _require_rows(count, region_features=self.region_features)
        if self.descriptors.shape[1:] != (self.spec.descriptor_dims,):
            raise ValueError(f"descriptors are {_shape(self.descriptors)}, spec: {self.spec}")
        if self.region_features.shape[1:] != (self.spec.regions, self.spec.region_dims):
            raise ValueError(f"regions are {_shape(self.region_features)}, spec: {self.spec}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A video that was read in parts: its thumbnails, and its features in each space asked for."""

    thumbnails: Thumbnails
    features: tuple[VideoFeatures, ...]


def _require_rows(count: int, **arrays: NDArray[np.generic]) -> None:
    for name, array in arrays.items():
        if array.shape[0] != count:
            raise ValueError(f"{name} has {array.shape[0]} rows, expected {count}")


def _shape(array: NDArray[np.generic]) -> str:
    return f"{array.dtype} {list(array.shape)}"
