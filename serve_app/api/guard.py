"""References in quarantine, and thresholds of libraries."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request

from dubl.contract import bodies
from dubl.contract.requests import CalibrationRequest, QuarantineRequest
from dubl.ledger.guard import Guard
from dubl.ledger.policies import Policies
from dubl.matching.decision import policy_of
from dubl.types import (
    LibraryPolicy,
    PriorDecisions,
    QuarantineState,
)
from serve_app.api.access import principal_of
from serve_app.api.context import Context, RouteContext, policy_of_library

router = APIRouter(tags=["reviews"])


def policy_body(context: Context, library: str, own: LibraryPolicy | None) -> bodies.LibraryPolicy:
    prior = PriorDecisions(policies={} if own is None else {library: own})
    used = policy_of(library, context.settings.policy, prior)
    return bodies.LibraryPolicy.of(library, used, own)


@router.get("/v1/reviews/quarantine")
async def quarantines(
    context: RouteContext, request: Request, status: QuarantineState | None = None
) -> bodies.Items[bodies.Quarantine]:
    """Quarantined references, newest first."""
    seen = principal_of(request).libraries
    found = await context.ledger.ask(Guard.list, state=status, libraries=seen)
    return bodies.Items[bodies.Quarantine].of(found, bodies.Quarantine.of)


@router.post("/v1/reviews/quarantine")
async def decide(
    context: RouteContext, request: Request, body: QuarantineRequest
) -> bodies.Quarantine:
    """Releases a reference, so that its matches count again, or keeps it in quarantine."""
    decided = await context.ledger.ask(
        Guard.decide,
        body.reference_id,
        state=body.state,
        reviewer=body.reviewer or principal_of(request).name,
        note=body.note,
        libraries=principal_of(request).libraries,
    )
    return bodies.Quarantine.of(decided)


@router.get("/v1/libraries/{library}/policy")
async def library_policy(
    context: RouteContext, library: str, request: Request
) -> bodies.LibraryPolicy:
    """The thresholds in force for matches with this library's references."""
    return policy_body(context, library, await policy_of_library(context, request, library))


@router.delete("/v1/libraries/{library}/policy", status_code=204)
async def withdraw(context: RouteContext, library: str, request: Request) -> None:
    """Returns the library to the settings' thresholds."""
    await policy_of_library(context, request, library)
    await context.ledger.ask(Policies.withdraw, library)


@router.post("/v1/libraries/{library}/calibrate")
async def calibrate(
    context: RouteContext,
    library: str,
    request: Request,
    body: Annotated[CalibrationRequest | None, Body()] = None,
) -> bodies.Calibration:
    """Fits the library's thresholds to its review decisions."""
    await policy_of_library(context, request, library)
    wanted = body or CalibrationRequest()
    report = await context.engine.calibrate(
        library, least_decisions=wanted.least_decisions, adopt=wanted.adopt
    )
    return bodies.Calibration.of(library, report, adopted=wanted.adopt)
