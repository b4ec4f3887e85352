"""/v1/deliveries: webhooks that were, or are to be, delivered."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from dubl.contract import bodies
from dubl.types import DeliveryState
from serve_app.api.conversation import Context


def deliveries_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/v1/deliveries", tags=["webhooks"])
    service = context.service

    @router.get("", response_model=bodies.Page[bodies.Delivery])
    async def listing(
        job_id: str = "",
        status: DeliveryState | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: str = "",
    ) -> bodies.Page[bodies.Delivery]:
        """Deliveries, newest first."""
        page = await service.list_deliveries(
            job_id=job_id, state=status, limit=limit, cursor=cursor
        )
        return bodies.Page[bodies.Delivery].of(page, bodies.Delivery.of)

    @router.post("/{delivery_id}/replay", status_code=202, response_model=bodies.Delivery)
    async def replay(delivery_id: str) -> bodies.Delivery:
        """Delivers once more, with the same `webhook-id`."""
        return bodies.Delivery.of(await service.replay_delivery(delivery_id))

    return router
