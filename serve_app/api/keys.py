"""/v1/keys: API keys. For administrators."""

from __future__ import annotations

from fastapi import APIRouter

from dubl.contract import bodies
from dubl.contract.requests import KeyRequest
from dubl.ledger.api_keys import ApiKeys, make_key
from serve_app.api.context import RouteContext

router = APIRouter(prefix="/v1/keys", tags=["keys"])


@router.post("", status_code=201)
async def create(context: RouteContext, wanted: KeyRequest) -> bodies.NewKey:
    """Creates a key. Its token is only in this answer."""
    new = make_key(
        wanted.name,
        scopes=wanted.scopes,
        libraries=wanted.libraries,
        requests_per_minute=wanted.requests_per_minute,
        jobs_per_day=wanted.jobs_per_day,
    )
    await context.ledger.ask(ApiKeys.add, new.key)
    context.keys.forget()
    return bodies.NewKey(token=new.token, key=bodies.Key.of(new.key))


@router.get("")
async def listing(context: RouteContext) -> bodies.Items[bodies.Key]:
    """All keys, also revoked ones, oldest first."""
    return bodies.Items[bodies.Key].of(await context.keys.all(), bodies.Key.of)


@router.delete("/{key_id}")
async def revoke(context: RouteContext, key_id: str) -> bodies.Key:
    """Revokes a key."""
    key = await context.ledger.ask(ApiKeys.revoke, key_id)
    context.keys.forget()
    return bodies.Key.of(key)
