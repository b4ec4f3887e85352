"""/v1/deliveries: webhooks, delivered and pending."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from dubl.contract import bodies
from dubl.ledger.outbox import Outbox
from dubl.types import DeliveryState
from serve_app.api.context import RouteContext

router = APIRouter(prefix="/v1/deliveries", tags=["webhooks"])


@router.get("")
async def listing(
    context: RouteContext,
    job_id: str = "",
    status: DeliveryState | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: str = "",
) -> bodies.Page[bodies.Delivery]:
    """Deliveries, newest first."""
    page = await context.ledger.ask(
        Outbox.list, job_id=job_id, state=status, limit=limit, cursor=cursor
    )
    return bodies.Page[bodies.Delivery].of(page, bodies.Delivery.of)


@router.post("/{delivery_id}/replay", status_code=202)
async def replay(context: RouteContext, delivery_id: str) -> bodies.Delivery:
    """Delivers a webhook again, with the same `webhook-id`."""
    return bodies.Delivery.of(await context.ledger.ask(Outbox.replay, delivery_id))
