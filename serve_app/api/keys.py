"""/v1/keys: who may use the service. For administrators."""

from __future__ import annotations

from fastapi import APIRouter

from dubl.contract import bodies
from dubl.contract.requests import KeyRequest
from dubl.ledger.api_keys import make_key
from serve_app.api.access import AdminService, KeyRing


def keys_router(service: AdminService, ring: KeyRing) -> APIRouter:
    router = APIRouter(prefix="/v1/keys", tags=["keys"])

    @router.post("", status_code=201, response_model=bodies.NewKey)
    async def create(wanted: KeyRequest) -> bodies.NewKey:
        """Makes a key; its token is in this answer and nowhere else."""
        new = make_key(
            wanted.name,
            scopes=wanted.scopes,
            libraries=wanted.libraries,
            requests_per_minute=wanted.requests_per_minute,
            jobs_per_day=wanted.jobs_per_day,
        )
        await service.add_key(new.key)
        ring.forget()
        return bodies.NewKey(token=new.token, key=bodies.Key.of(new.key))

    @router.get("", response_model=bodies.Items[bodies.Key])
    async def listing() -> bodies.Items[bodies.Key]:
        """All keys, the revoked ones too, oldest first."""
        return bodies.Items[bodies.Key].of(await service.list_keys(), bodies.Key.of)

    @router.delete("/{key_id}", response_model=bodies.Key)
    async def revoke(key_id: str) -> bodies.Key:
        """Makes a key worthless."""
        key = await service.revoke_key(key_id)
        ring.forget()
        return bodies.Key.of(key)

    return router
