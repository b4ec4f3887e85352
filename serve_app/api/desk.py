"""What the HTTP layer asks about matches that people look at; part of Service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dubl.types import (
    Decision,
    Explanation,
    KeptVideo,
    LibraryPolicy,
    Match,
    Matrices,
    Page,
    Quarantine,
    QuarantineState,
    Review,
    ReviewItem,
    ReviewState,
    ThresholdReport,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFilter:
    """Which matches of the queue; empty text and None let everything through. `by_policy`: by
    their own library's thresholds, with `least_probability` for matches that know none."""

    state: ReviewState | None = ReviewState.OPEN
    least_probability: float = 0.0
    by_policy: bool = False
    check_id: str = ""
    reference_id: str = ""


class Desk(Protocol):
    """Evidence and reviews. Methods raise dubl.errors."""

    async def explain(self, check_id: str, match: Match) -> Explanation:
        """Raises EvidenceNotKept, as the next five do."""
        ...

    async def matrices(self, check_id: str, match: Match) -> Matrices: ...

    async def kept_query(self, check_id: str) -> KeptVideo: ...

    async def kept_reference(self, reference_id: str) -> KeptVideo: ...

    async def query_picture(self, check_id: str, at_s: float) -> bytes: ...

    async def reference_picture(self, reference_id: str, at_s: float) -> bytes: ...

    async def forget_query(self, check_id: str) -> None:
        """Removes what is kept of a check; its verdict stays."""
        ...

    async def queue(self, wanted: QueueFilter, *, limit: int, cursor: str) -> Page[ReviewItem]: ...

    async def quarantines(self, *, state: QuarantineState | None) -> Sequence[Quarantine]: ...

    async def decide_quarantine(
        self, reference_id: str, *, state: QuarantineState, reviewer: str, note: str
    ) -> Quarantine:
        """Raises NotFound, StateConflict."""
        ...

    async def library_policies(self) -> Mapping[str, LibraryPolicy]:
        """Of libraries that have thresholds of their own."""
        ...

    async def withdraw_policy(self, library: str) -> None: ...

    async def calibrate(
        self, library: str, *, least_decisions: int, adopt: bool
    ) -> ThresholdReport:
        """Raises InvalidRequest for too few decisions."""
        ...

    async def counts(self, *, least_probability: float) -> Mapping[ReviewState, int]: ...

    async def review(
        self, check_id: str, reference_id: str, *, decision: Decision, reviewer: str, note: str
    ) -> Review: ...

    async def reviews(
        self, *, check_id: str, reference_id: str, limit: int, cursor: str
    ) -> Page[Review]: ...
