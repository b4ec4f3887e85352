"""Protocols through which sibling packages use each other; dubl/assembly.py binds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from dubl.rights.terms import Rights
from dubl.types import (
    Candidate,
    CandidateSet,
    FeatureSpec,
    Float16Array,
    Float32Array,
    FrameClip,
    FrameFound,
    MatchSet,
    Sampling,
    SoundClip,
    SoundFeatures,
    SoundSegment,
    SoundSpec,
    StoredVideo,
    VideoFeatures,
    VideoSource,
)


class Decoder(Protocol):
    """Reads sampled frames; the only step that refuses an input."""

    def decode(self, source: VideoSource, *, sampling: Sampling) -> FrameClip:
        """Raises MediaError, DecodeTimeout or DecoderCrashed."""
        ...


class Embedder(Protocol):
    """Embeds frames. One batch method serves both requests and archives."""

    @property
    def spec(self) -> FeatureSpec: ...

    def embed(self, clips: Sequence[FrameClip]) -> list[VideoFeatures]: ...


class SoundDescriber(Protocol):
    """Describes decoded sound."""

    @property
    def spec(self) -> SoundSpec: ...

    def describe(self, clip: SoundClip) -> SoundFeatures: ...


class SoundAligner(Protocol):
    """Finds the segments that two sounds share, best first."""

    def __call__(
        self, query: SoundFeatures, reference: SoundFeatures
    ) -> tuple[SoundSegment, ...]: ...


class Retriever(Protocol):
    """Finds references with frames similar to the query's."""

    def retrieve(
        self,
        features: VideoFeatures,
        *,
        libraries: Sequence[str] = (),
        exclude_ids: Sequence[str] = (),
        registered_before: str = "",
    ) -> CandidateSet: ...

    def candidate(self, reference_id: str) -> Candidate | None:
        """A reference that nobody searched; None if it is not there."""
        ...

    def find_frame(
        self, features: VideoFeatures, *, libraries: Sequence[str] = (), limit: int
    ) -> tuple[FrameFound, ...]:
        """References that show the one picture of `features`."""
        ...


class ReferenceFeatures(Protocol):
    """Stored features and rights of references."""

    def read_features(self, reference_ids: Sequence[str]) -> Mapping[str, VideoFeatures]:
        """Features by reference id; missing references are left out."""
        ...

    def read_sounds(self, reference_ids: Sequence[str]) -> Mapping[str, SoundFeatures]:
        """Features of the sounds alone, by reference id, of those that were listened to."""
        ...

    def read_rights(self, reference_ids: Sequence[str]) -> Mapping[str, Rights]:
        """Rights by reference id; missing references are left out."""
        ...


class Comparator(Protocol):
    """A learned similarity of two videos from their region features (S2VS/ViSiL)."""

    def similarity(self, query: Float16Array, reference: Float16Array) -> float:
        """Similarity in [0,1] of regions [T,R,D] and [U,R,D], the larger of both directions."""
        ...

    def similarity_matrix(self, query: Float16Array, reference: Float16Array) -> Float32Array:
        """Frame-to-frame similarity [T,U] before the comparator network, in [-1,1]."""
        ...


class MatrixComparator(Comparator, Protocol):
    """A comparator that also returns its network's output matrix."""

    def cleaned_matrix(self, query: Float16Array, reference: Float16Array) -> Float32Array | None:
        """Similarity in [0,1] after the network, a cell for four by four frames each; None without
        a network."""
        ...


class EvidenceStore(Protocol):
    """The stored evidence of checks and references, for reviewers."""

    def query(self, check_id: str) -> StoredVideo:
        """Raises EvidenceNotKept, like all methods."""
        ...

    def reference(self, reference_id: str) -> StoredVideo: ...

    def query_features(self, check_id: str) -> VideoFeatures: ...

    def query_picture(self, check_id: str, at_s: float) -> bytes:
        """JPEG of the stored frame nearest to `at_s`."""
        ...

    def reference_picture(self, reference_id: str, at_s: float) -> bytes: ...

    def reference_file(self, reference_id: str) -> VideoSource:
        """The stored copy of a reference's file."""
        ...


class Reranker(Protocol):
    """Compares the query with each candidate in full, and aligns their shared segments."""

    def rerank(self, features: VideoFeatures, candidates: CandidateSet) -> MatchSet: ...
