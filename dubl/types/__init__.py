"""One frozen object per hop: VideoSource → FrameClip → VideoFeatures → CandidateSet → MatchSet →
Verdict.

`timings_ms` is passed on with the objects, and each step adds its own entry. So the graph can pass
results on without awaiting them.
"""

from __future__ import annotations

from dubl.types.access import ApiKey as ApiKey
from dubl.types.access import AuditEntry as AuditEntry
from dubl.types.access import Scope as Scope
from dubl.types.arrays import Float16Array as Float16Array
from dubl.types.arrays import Float32Array as Float32Array
from dubl.types.arrays import Float64Array as Float64Array
from dubl.types.arrays import Uint8Array as Uint8Array
from dubl.types.evidence import Box as Box
from dubl.types.evidence import Explanation as Explanation
from dubl.types.evidence import FramePair as FramePair
from dubl.types.evidence import Hint as Hint
from dubl.types.evidence import HintKind as HintKind
from dubl.types.evidence import Matrices as Matrices
from dubl.types.evidence import TimedMatrix as TimedMatrix
from dubl.types.job import NO_PROGRESS as NO_PROGRESS
from dubl.types.job import Delivery as Delivery
from dubl.types.job import DeliveryState as DeliveryState
from dubl.types.job import Job as Job
from dubl.types.job import JobKind as JobKind
from dubl.types.job import JobRank as JobRank
from dubl.types.job import JobState as JobState
from dubl.types.job import Lease as Lease
from dubl.types.job import Progress as Progress
from dubl.types.library import MAIN_LIBRARY as MAIN_LIBRARY
from dubl.types.library import IndexHealth as IndexHealth
from dubl.types.library import Metadata as Metadata
from dubl.types.library import Reference as Reference
from dubl.types.library import ReferenceDraft as ReferenceDraft
from dubl.types.library import Registration as Registration
from dubl.types.library import StoredVideo as StoredVideo
from dubl.types.match import Candidate as Candidate
from dubl.types.match import CandidateSet as CandidateSet
from dubl.types.match import Check as Check
from dubl.types.match import FrameFound as FrameFound
from dubl.types.match import FrameHit as FrameHit
from dubl.types.match import Heard as Heard
from dubl.types.match import Match as Match
from dubl.types.match import MatchSet as MatchSet
from dubl.types.match import Modality as Modality
from dubl.types.match import Outcome as Outcome
from dubl.types.match import Segment as Segment
from dubl.types.match import SoundRelation as SoundRelation
from dubl.types.match import Verdict as Verdict
from dubl.types.page import Page as Page
from dubl.types.page import PagePosition as PagePosition
from dubl.types.prior import MIN_DECISIONS as MIN_DECISIONS
from dubl.types.prior import NO_PRIOR_DECISIONS as NO_PRIOR_DECISIONS
from dubl.types.prior import DecidedMatch as DecidedMatch
from dubl.types.prior import LibraryPolicy as LibraryPolicy
from dubl.types.prior import Precision as Precision
from dubl.types.prior import PriorDecisions as PriorDecisions
from dubl.types.prior import Quarantine as Quarantine
from dubl.types.prior import QuarantineState as QuarantineState
from dubl.types.prior import ThresholdReport as ThresholdReport
from dubl.types.review import Decision as Decision
from dubl.types.review import Facet as Facet
from dubl.types.review import Hold as Hold
from dubl.types.review import Judgement as Judgement
from dubl.types.review import QueueCounts as QueueCounts
from dubl.types.review import QueueFilter as QueueFilter
from dubl.types.review import QueueSort as QueueSort
from dubl.types.review import RecordedReviews as RecordedReviews
from dubl.types.review import Review as Review
from dubl.types.review import ReviewConflict as ReviewConflict
from dubl.types.review import ReviewItem as ReviewItem
from dubl.types.review import ReviewState as ReviewState
from dubl.types.sound import SoundClip as SoundClip
from dubl.types.sound import SoundFeatures as SoundFeatures
from dubl.types.sound import SoundSegment as SoundSegment
from dubl.types.sound import SoundSpec as SoundSpec
from dubl.types.space import Comparison as Comparison
from dubl.types.space import MissingReference as MissingReference
from dubl.types.space import Shadow as Shadow
from dubl.types.space import Space as Space
from dubl.types.space import SpaceState as SpaceState
from dubl.types.space import SpaceSwitch as SpaceSwitch
from dubl.types.video import FIRST_STREAM as FIRST_STREAM
from dubl.types.video import MAX_FURTHER_STREAMS as MAX_FURTHER_STREAMS
from dubl.types.video import MAX_VIEWS as MAX_VIEWS
from dubl.types.video import NO_TIMINGS as NO_TIMINGS
from dubl.types.video import WHOLE_FRAME as WHOLE_FRAME
from dubl.types.video import FeatureSpec as FeatureSpec
from dubl.types.video import FrameClip as FrameClip
from dubl.types.video import Note as Note
from dubl.types.video import Sampling as Sampling
from dubl.types.video import Timings as Timings
from dubl.types.video import VideoFacts as VideoFacts
from dubl.types.video import VideoFeatures as VideoFeatures
from dubl.types.video import VideoSource as VideoSource
