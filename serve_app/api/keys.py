"""/v1/keys: who may use the service. For administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from dubl.ledger.api_keys import make_key
from dubl.types import ApiKey, Scope
from serve_app.api.access import AdminService, KeyRing
from serve_app.api.orders import LIBRARY_PATTERN

Library = Annotated[str, StringConstraints(pattern=f"^(?:{LIBRARY_PATTERN.pattern})$")]


class KeyRequest(BaseModel):
    """A key to be made; limits of 0 are those of the settings."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    scopes: list[Scope] = Field(min_length=1)
    libraries: list[Library] = []
    requests_per_minute: int = Field(default=0, ge=0, le=1_000_000)
    jobs_per_day: int = Field(default=0, ge=0, le=1_000_000_000)


class KeyBody(BaseModel):
    """A key without its secret."""

    id: str
    prefix: str
    name: str
    scopes: list[Scope]
    libraries: list[str]
    requests_per_minute: int
    jobs_per_day: int
    created_at: str
    revoked_at: str | None

    @classmethod
    def of(cls, key: ApiKey) -> KeyBody:
        return cls(
            id=key.id,
            prefix=key.prefix,
            name=key.name,
            scopes=list(key.scopes),
            libraries=list(key.libraries),
            requests_per_minute=key.requests_per_minute,
            jobs_per_day=key.jobs_per_day,
            created_at=key.created_at,
            revoked_at=key.revoked_at or None,
        )


class NewKeyBody(BaseModel):
    """`token` is shown this once."""

    token: str
    key: KeyBody


class KeyList(BaseModel):
    items: list[KeyBody]


def keys_router(service: AdminService, ring: KeyRing) -> APIRouter:
    router = APIRouter(prefix="/v1/keys", tags=["keys"])

    @router.post("", status_code=201, response_model=NewKeyBody)
    async def create(wanted: KeyRequest) -> NewKeyBody:
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
        return NewKeyBody(token=new.token, key=KeyBody.of(new.key))

    @router.get("", response_model=KeyList)
    async def listing() -> KeyList:
        """All keys, the revoked ones too, oldest first."""
        return KeyList(items=[KeyBody.of(key) for key in await service.list_keys()])

    @router.delete("/{key_id}", response_model=KeyBody)
    async def revoke(key_id: str) -> KeyBody:
        """Makes a key worthless."""
        key = await service.revoke_key(key_id)
        ring.forget()
        return KeyBody.of(key)

    return router
