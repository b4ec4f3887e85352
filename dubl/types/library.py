"""References, their registration, and the state of their library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dubl.rights.terms import UNRESTRICTED, Rights
from dubl.types.video import Timings

Metadata = Mapping[str, object]


MAIN_LIBRARY = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceDraft:
    """The caller's facts about a video to be registered."""

    id: str
    library: str = MAIN_LIBRARY
    title: str = ""
    owner: str = ""
    metadata: Metadata = field(default_factory=dict)
    rights: Rights = UNRESTRICTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A registered video, without its features.

    `created_at` is UTC, ISO 8601. damaged: only part of its file could be read.
    """

    id: str
    library: str
    title: str
    owner: str
    metadata: Metadata
    source: str
    sha256: str
    duration_s: float
    frame_count: int
    created_at: str
    damaged: bool = False
    rights: Rights = UNRESTRICTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The outcome of registering: the reference, whether it is new, and the milliseconds a step."""

    reference: Reference
    created: bool
    timings_ms: Timings = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexHealth:
    """State of the vector index of the library's frames.

    `index_type` is "exact" without an index. `recall`: of the last audit since the training; 1 for
    exact search; None without an audit.
    """

    index_type: str
    frames: int
    unindexed_frames: int
    frames_at_training: int
    recall: float | None
    audited_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVideo:
    """Stored evidence of a video, for reviewers.

    picture_times_s: times of small pictures of whole frames, ascending. video_path: a file to play;
    empty: none. width, height: of the video after rotation. media_type: as in HTTP.
    """

    id: str
    name: str
    duration_s: float
    width: int
    height: int
    picture_times_s: tuple[float, ...]
    video_path: str
    media_type: str
    kept_at: str
