"""References in quarantine, and thresholds of libraries."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, ConfigDict, Field

from dubl.errors import ReferenceNotFound
from dubl.matching.decision import policy_of
from dubl.matching.thresholds import LEAST_DECISIONS
from dubl.types import (
    LibraryPolicy,
    Precision,
    Quarantine,
    QuarantineState,
    Standing,
    ThresholdReport,
)
from serve_app.api.conversation import Context
from serve_app.api.orders import TEXT_MAX_LENGTH
from serve_app.api.principal import principal_of

Text = Annotated[str, Field(max_length=TEXT_MAX_LENGTH)]


class QuarantineRequest(BaseModel):
    """What a person decides of a reference in quarantine."""

    model_config = ConfigDict(extra="forbid")

    reference_id: str
    decision: Literal["release", "keep"]
    reviewer: Text = ""
    note: Text = ""


class QuarantineBody(BaseModel):
    """`status`: held until a person decides, kept, or released; so many different uploads matched
    it within the guard's window, and so many usually."""

    reference_id: str
    library: str
    status: str
    uploads: int
    usual: float
    created_at: str
    reviewer: str
    note: str
    decided_at: str | None

    @classmethod
    def of(cls, one: Quarantine) -> QuarantineBody:
        return cls(
            reference_id=one.reference_id,
            library=one.library,
            status=one.state,
            uploads=one.uploads,
            usual=round(one.usual, 2),
            created_at=one.created_at,
            reviewer=one.reviewer,
            note=one.note,
            decided_at=one.decided_at or None,
        )


class QuarantineList(BaseModel):
    items: list[QuarantineBody]


class LibraryPolicyBody(BaseModel):
    """`version` as verdicts show it; no `decisions` where the settings' thresholds hold."""

    library: str
    version: str
    duplicate_probability: float
    review_probability: float
    decisions: int | None
    created_at: str | None


class CalibrationRequest(BaseModel):
    """`adopt`: whether the thresholds that are found hold from now on."""

    model_config = ConfigDict(extra="forbid")

    least_decisions: int = Field(default=LEAST_DECISIONS, ge=10)
    adopt: bool = True


class PrecisionBody(BaseModel):
    """Of decided matches from `threshold` on: how many, copies, 95 % interval of their share."""

    threshold: float
    matches: int
    copies: int
    low: float
    high: float

    @classmethod
    def of(cls, one: Precision) -> PrecisionBody:
        return cls(
            threshold=round(one.threshold, 4),
            matches=one.matches,
            copies=one.copies,
            low=round(one.low, 4),
            high=round(one.high, 4),
        )


class CalibrationBody(BaseModel):
    """What the decisions say, and what both pairs of thresholds mean for them."""

    library: str
    adopted: bool
    decisions: int
    copies: int
    log_loss_before: float
    log_loss_after: float
    duplicate_before: PrecisionBody
    duplicate_after: PrecisionBody
    review_before: PrecisionBody
    review_after: PrecisionBody

    @classmethod
    def of(cls, library: str, report: ThresholdReport, *, adopted: bool) -> CalibrationBody:
        return cls(
            library=library,
            adopted=adopted,
            decisions=report.decisions,
            copies=report.copies,
            log_loss_before=round(report.log_loss_before, 4),
            log_loss_after=round(report.log_loss_after, 4),
            duplicate_before=PrecisionBody.of(report.duplicate_before),
            duplicate_after=PrecisionBody.of(report.duplicate_after),
            review_before=PrecisionBody.of(report.review_before),
            review_after=PrecisionBody.of(report.review_after),
        )


def guard_router(context: Context) -> APIRouter:
    router = APIRouter(tags=["reviews"])
    desk, policy = context.service.desk, context.settings.policy

    def policy_body(library: str, own: LibraryPolicy | None) -> LibraryPolicyBody:
        standing = Standing(policies={} if own is None else {library: own})
        used = policy_of(library, policy, standing)
        return LibraryPolicyBody(
            library=library,
            version=used.version,
            duplicate_probability=used.duplicate_probability,
            review_probability=used.review_probability,
            decisions=None if own is None else own.decisions,
            created_at=None if own is None else own.created_at,
        )

    @router.get("/v1/reviews/quarantine", response_model=QuarantineList)
    async def quarantines(
        request: Request, status: QuarantineState | None = None
    ) -> QuarantineList:
        """References that suddenly matched far more than usual, newest first."""
        sees = principal_of(request).sees
        found = await desk.quarantines(state=status)
        return QuarantineList(
            items=[QuarantineBody.of(one) for one in found if sees([one.library])]
        )

    @router.post("/v1/reviews/quarantine", response_model=QuarantineBody)
    async def decide(request: Request, body: QuarantineRequest) -> QuarantineBody:
        """Releases a reference, whose matches count again, or keeps it in quarantine."""
        sees = principal_of(request).sees
        known = {one.reference_id: one for one in await desk.quarantines(state=None)}
        if body.reference_id in known and not sees([known[body.reference_id].library]):
            raise ReferenceNotFound(f"there is no reference '{body.reference_id}'")
        state = {"release": QuarantineState.RELEASED, "keep": QuarantineState.KEPT}[body.decision]
        decided = await desk.decide_quarantine(
            body.reference_id, state=state, reviewer=body.reviewer, note=body.note
        )
        return QuarantineBody.of(decided)

    @router.get("/v1/libraries/{library}/policy", response_model=LibraryPolicyBody)
    async def library_policy(library: str, request: Request) -> LibraryPolicyBody:
        """The thresholds that hold for matches with this library's references."""
        principal_of(request).require(library)
        return policy_body(library, (await desk.library_policies()).get(library))

    @router.delete("/v1/libraries/{library}/policy", status_code=204)
    async def withdraw(library: str, request: Request) -> None:
        """Gives the library the settings' thresholds again."""
        principal_of(request).require(library)
        await desk.withdraw_policy(library)

    @router.post("/v1/libraries/{library}/calibrate", response_model=CalibrationBody)
    async def calibrate(
        library: str,
        request: Request,
        body: Annotated[CalibrationRequest | None, Body()] = None,
    ) -> CalibrationBody:
        """Fits the library's thresholds to what people decided of its matches."""
        principal_of(request).require(library)
        wanted = body or CalibrationRequest()
        report = await desk.calibrate(
            library, least_decisions=wanted.least_decisions, adopt=wanted.adopt
        )
        return CalibrationBody.of(library, report, adopted=wanted.adopt)

    return router
