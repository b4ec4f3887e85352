"""One frozen object per hop of a request: VideoSource → FrameClip → VideoFeatures → CandidateSet
→ MatchSet → Verdict (design: "the way of a request").

`timings_ms` travels with the objects: each step adds its own entry, so that the graph can pass
results on without awaiting them and the last one knows where the time went.
"""

from __future__ import annotations

from dubl.types.access import (
    ApiKey,
    Scope,
)
from dubl.types.job import (
    NO_PROGRESS,
    Delivery,
    DeliveryState,
    Job,
    JobKind,
    JobRank,
    JobState,
    Lease,
    Progress,
)
from dubl.types.library import (
    MAIN_LIBRARY,
    IndexHealth,
    KeptVideo,
    Metadata,
    Reference,
    ReferenceDraft,
    Registration,
)
from dubl.types.match import (
    Candidate,
    CandidateSet,
    Check,
    FrameFound,
    FrameHit,
    Match,
    MatchSet,
    Outcome,
    Segment,
    Verdict,
)
from dubl.types.page import (
    Page,
    PagePosition,
)
from dubl.types.review import (
    Decision,
    Review,
    ReviewItem,
    ReviewState,
)
from dubl.types.space import (
    Comparison,
    Shadow,
    Space,
    SpaceSwitch,
)
from dubl.types.standing import (
    NO_STANDING,
    JudgedMatch,
    LibraryPolicy,
    Quarantine,
    QuarantineState,
    Standing,
)
from dubl.types.video import (
    MAX_VIEWS,
    NO_TIMINGS,
    WHOLE_FRAME,
    FeatureSpec,
    Float16Array,
    Float32Array,
    Float64Array,
    FrameClip,
    Sampling,
    Timings,
    Uint8Array,
    VideoFacts,
    VideoFeatures,
    VideoSource,
)

__all__ = [
    "MAIN_LIBRARY",
    "MAX_VIEWS",
    "NO_PROGRESS",
    "NO_STANDING",
    "NO_TIMINGS",
    "WHOLE_FRAME",
    "ApiKey",
    "Candidate",
    "CandidateSet",
    "Check",
    "Comparison",
    "Decision",
    "Delivery",
    "DeliveryState",
    "FeatureSpec",
    "Float16Array",
    "Float32Array",
    "Float64Array",
    "FrameClip",
    "FrameFound",
    "FrameHit",
    "IndexHealth",
    "Job",
    "JobKind",
    "JobRank",
    "JobState",
    "JudgedMatch",
    "KeptVideo",
    "Lease",
    "LibraryPolicy",
    "Match",
    "MatchSet",
    "Metadata",
    "Outcome",
    "Page",
    "PagePosition",
    "Progress",
    "Quarantine",
    "QuarantineState",
    "Reference",
    "ReferenceDraft",
    "Registration",
    "Review",
    "ReviewItem",
    "ReviewState",
    "Sampling",
    "Scope",
    "Segment",
    "Shadow",
    "Space",
    "SpaceSwitch",
    "Standing",
    "Timings",
    "Uint8Array",
    "Verdict",
    "VideoFacts",
    "VideoFeatures",
    "VideoSource",
]
