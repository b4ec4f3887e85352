"""/v1/deliveries: webhooks that were, or are to be, delivered."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from dubl.types import DeliveryState
from serve_app.api.conversation import Context
from serve_app.api.schemas import DeliveryBody, DeliveryPage


def deliveries_router(context: Context) -> APIRouter:
    router = APIRouter(prefix="/v1/deliveries", tags=["webhooks"])
    service = context.service

    @router.get("", response_model=DeliveryPage)
    async def listing(
        job_id: str = "",
        status: DeliveryState | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: str = "",
    ) -> DeliveryPage:
        """Deliveries, newest first."""
        page = await service.list_deliveries(
            job_id=job_id, state=status, limit=limit, cursor=cursor
        )
        items = [DeliveryBody.of(delivery) for delivery in page.items]
        return DeliveryPage(items=items, next_cursor=page.next_cursor or None)

    @router.post("/{delivery_id}/replay", status_code=202, response_model=DeliveryBody)
    async def replay(delivery_id: str) -> DeliveryBody:
        """Delivers once more, with the same `webhook-id`."""
        return DeliveryBody.of(await service.replay_delivery(delivery_id))

    return router
