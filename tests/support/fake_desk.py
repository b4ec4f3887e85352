"""A Desk in memory, for tests of the HTTP layer alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from serve_app.api.desk import QueueFilter

from dubl.errors import EvidenceNotKept, NotFound
from dubl.matching.thresholds import fit_thresholds
from dubl.settings import PolicySettings
from dubl.types import (
    Box,
    Decision,
    Explanation,
    FramePair,
    Hint,
    HintKind,
    JudgedMatch,
    KeptVideo,
    LibraryPolicy,
    Match,
    Matrices,
    Page,
    PagePosition,
    Quarantine,
    QuarantineState,
    Review,
    ReviewItem,
    ReviewState,
    ThresholdReport,
    TimedMatrix,
)

DECIDED_AT = "2026-01-02T04:00:00.000000Z"
FRAMES = TimedMatrix(
    similarity=np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4),
    query_times_s=np.arange(3, dtype=np.float64),
    reference_times_s=np.arange(4, dtype=np.float64),
    query_duration_s=3.0,
    reference_duration_s=4.0,
)
PAIR = FramePair(segment=0, query_s=1.5, reference_s=5.5, similarity=0.88)
INSET = Hint(kind=HintKind.INSET, value=0.25, box=Box(left=0.5, top=0.5, width=0.5, height=0.5))


class FakeDesk:
    """`files`: the files of kept queries and references; what is not in it is not kept."""

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}
        self.has_network = True
        self.entries: list[Review] = []
        self.held: dict[str, Quarantine] = {}
        self.policies: dict[str, LibraryPolicy] = {}
        self.judged: list[JudgedMatch] = []
        self.asked: list[QueueFilter] = []

    async def explain(self, check_id: str, match: Match) -> Explanation:
        reference = match.reference_id
        return Explanation(
            query=self._kept(check_id),
            reference=self._kept(reference) if reference in self.files else None,
            reference_duration_s=12.0,
            pairs=(PAIR,),
            hints=(INSET,),
        )

    async def matrices(self, check_id: str, match: Match) -> Matrices:
        self._kept(check_id)
        assert match.segments
        return Matrices(frames=FRAMES, cleaned=FRAMES if self.has_network else None)

    async def kept_query(self, check_id: str) -> KeptVideo:
        return self._kept(check_id)

    async def kept_reference(self, reference_id: str) -> KeptVideo:
        return self._kept(reference_id)

    async def query_picture(self, check_id: str, at_s: float) -> bytes:
        return f"picture of {self._kept(check_id).id} at {at_s}".encode()

    async def reference_picture(self, reference_id: str, at_s: float) -> bytes:
        return f"picture of {self._kept(reference_id).id} at {at_s}".encode()

    async def forget_query(self, check_id: str) -> None:
        self.files.pop(check_id, None)

    async def queue(self, wanted: QueueFilter, *, limit: int, cursor: str) -> Page[ReviewItem]:
        if cursor:
            PagePosition.from_cursor(cursor)
        self.asked.append(wanted)
        item = ReviewItem(
            check_id="c",
            reference_id="ref-1",
            library="main",
            probability=0.97,
            similarity=0.91,
            query_name="upload.mp4",
            state=ReviewState.OPEN,
            reviewer="",
            created_at="2026-01-02T03:04:05.000Z",
        )
        return Page(items=(item,)[:limit], next_cursor="")

    async def quarantines(self, *, state: QuarantineState | None) -> Sequence[Quarantine]:
        return [one for one in self.held.values() if state in (None, one.state)]

    async def decide_quarantine(
        self, reference_id: str, *, state: QuarantineState, reviewer: str, note: str
    ) -> Quarantine:
        if reference_id not in self.held:
            raise NotFound(f"reference '{reference_id}' is not in quarantine")
        self.held[reference_id] = replace(
            self.held[reference_id],
            state=state,
            reviewer=reviewer,
            note=note,
            decided_at=DECIDED_AT,
        )
        return self.held[reference_id]

    async def library_policies(self) -> Mapping[str, LibraryPolicy]:
        return self.policies

    async def withdraw_policy(self, library: str) -> None:
        self.policies.pop(library, None)

    async def calibrate(
        self, library: str, *, least_decisions: int, adopt: bool
    ) -> ThresholdReport:
        report = fit_thresholds(self.judged, PolicySettings(), least_decisions=least_decisions)
        if adopt:
            self.policies[library] = LibraryPolicy(
                library=library,
                number=1,
                duplicate_probability=report.duplicate_probability,
                review_probability=report.review_probability,
                decisions=report.decisions,
                created_at=DECIDED_AT,
            )
        return report

    async def counts(self, *, least_probability: float) -> Mapping[ReviewState, int]:
        assert least_probability == 0.5
        return dict.fromkeys(ReviewState, 0) | {ReviewState.OPEN: 1}

    async def review(
        self, check_id: str, reference_id: str, *, decision: Decision, reviewer: str, note: str
    ) -> Review:
        entry = Review(
            id=f"review-{len(self.entries)}",
            check_id=check_id,
            reference_id=reference_id,
            decision=decision,
            reviewer=reviewer,
            note=note,
            created_at=DECIDED_AT,
        )
        self.entries.append(entry)
        return entry

    async def reviews(
        self, *, check_id: str, reference_id: str, limit: int, cursor: str
    ) -> Page[Review]:
        if cursor:
            PagePosition.from_cursor(cursor)
        found = [
            entry
            for entry in reversed(self.entries)
            if check_id in ("", entry.check_id) and reference_id in ("", entry.reference_id)
        ]
        return Page(items=tuple(found[:limit]), next_cursor="")

    def _kept(self, identifier: str) -> KeptVideo:
        if identifier not in self.files:
            raise EvidenceNotKept(f"nothing to look at is kept of '{identifier}'")
        return KeptVideo(
            id=identifier,
            name=f"{identifier}.mp4",
            duration_s=8.0,
            width=640,
            height=360,
            picture_times_s=(0.0, 0.5),
            video_path=str(self.files[identifier]),
            media_type="video/mp4",
            kept_at="2026-01-02T03:04:05Z",
        )
