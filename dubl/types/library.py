"""References, and what is known of the library that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dubl.rights.terms import UNRESTRICTED, Rights

Metadata = Mapping[str, object]


MAIN_LIBRARY = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceDraft:
    """What a caller says of a video to be registered."""

    id: str
    library: str = MAIN_LIBRARY
    title: str = ""
    owner: str = ""
    metadata: Metadata = field(default_factory=dict)
    rights: Rights = UNRESTRICTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A registered video, without its features. `created_at` is UTC, ISO 8601. damaged: only the
    part of its file that could be read is in the library."""

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
    """The outcome of registering: the reference, and whether it is new."""

    reference: Reference
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexHealth:
    """The vector index of the library's frames. `index_type` is "exact" while there is none.
    `recall` is that of the last audit since the training, 1 for exact search, and nothing where
    none was made."""

    index_type: str
    frames: int
    unindexed_frames: int
    frames_at_training: int
    recall: float | None
    audited_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptVideo:
    """What is kept of a video for people to look at: small pictures of whole frames at
    `picture_times_s`, ascending, and `video_path`, a file to play, empty for none.

    `width` and `height` are those of the video, after rotation; `media_type` as HTTP names it.
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
