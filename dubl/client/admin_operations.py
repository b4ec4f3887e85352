"""What operators ask of the service: batches, jobs, webhooks, keys. As dubl.client.operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from dubl.client.models import (
    Accepted,
    Delivery,
    Job,
    Key,
    MissingReference,
    NewKey,
    Page,
    Spaces,
    SpaceSwitch,
)
from dubl.client.operations import Fields, Operation, given, reading

Result = TypeVar("Result")
OnProgress = Callable[[str, float], None]
OnJob = Callable[[Job], None]


def submit_batch(
    *, archive: Path | None, links: Sequence[str], fields: Fields
) -> Operation[Accepted]:
    """Never repeated by itself: each one is a job of its own."""
    body = {name: value for name, value in fields.items() if value}
    return Operation(
        method="POST",
        path="/v1/batches",
        read=reading(Accepted),
        body=body if archive else {**body, "links": list(links)},
        file=archive,
        repeatable=False,
    )


def list_jobs(
    *, status: str, batch: str, dead: bool | None, limit: int, cursor: str
) -> Operation[Page[Job]]:
    query = {"status": status, "batch": batch, "limit": limit, "cursor": cursor}
    wanted = given(query if dead is None else {**query, "dead": str(dead).lower()})
    return Operation(method="GET", path="/v1/jobs", query=wanted, read=reading(Page[Job]))


def cancel_job(job_id: str) -> Operation[Job]:
    return Operation(method="DELETE", path=_job(job_id), read=reading(Job))


def requeue_job(job_id: str) -> Operation[Job]:
    return Operation(method="POST", path=f"{_job(job_id)}/requeue", read=reading(Job))


def list_deliveries(
    *, job_id: str, status: str, limit: int, cursor: str
) -> Operation[Page[Delivery]]:
    query = given({"job_id": job_id, "status": status, "limit": limit, "cursor": cursor})
    return Operation(method="GET", path="/v1/deliveries", query=query, read=reading(Page[Delivery]))


def replay_delivery(delivery_id: str) -> Operation[Delivery]:
    path = f"/v1/deliveries/{quote(delivery_id, safe='')}/replay"
    return Operation(method="POST", path=path, read=reading(Delivery), repeatable=False)


def create_key(body: Fields) -> Operation[NewKey]:
    """Never repeated by itself: each one is a key, and its token is told once."""
    return Operation(
        method="POST", path="/v1/keys", body=body, read=reading(NewKey), repeatable=False
    )


def list_keys() -> Operation[tuple[Key, ...]]:
    return Operation(
        method="GET", path="/v1/keys", read=lambda body: _Keys.model_validate_json(body).items
    )


def revoke_key(key_id: str) -> Operation[Key]:
    return Operation(method="DELETE", path=f"/v1/keys/{quote(key_id, safe='')}", read=reading(Key))


def list_spaces(*, since: str) -> Operation[Spaces]:
    query = given({"since": since})
    return Operation(method="GET", path="/v1/spaces", query=query, read=reading(Spaces))


def missing_references(
    space_id: str, *, limit: int, cursor: str
) -> Operation[Page[MissingReference]]:
    return Operation(
        method="GET",
        path=f"/v1/spaces/{quote(space_id, safe='')}/missing",
        query=given({"limit": limit, "cursor": cursor}),
        read=reading(Page[MissingReference]),
    )


def switch_space(space_id: str, *, force: bool, note: str) -> Operation[SpaceSwitch]:
    body = {"space_id": space_id, "force": force, "note": note}
    return Operation(
        method="POST",
        path="/v1/spaces/switch",
        body=body,
        read=reading(SpaceSwitch),
        repeatable=False,
    )


def roll_back_space(*, note: str) -> Operation[SpaceSwitch]:
    return Operation(
        method="POST",
        path="/v1/spaces/rollback",
        body={"note": note},
        read=reading(SpaceSwitch),
        repeatable=False,
    )


def telling(on_progress: OnProgress) -> OnJob:
    """Tells the stage and share of each job that it is given."""
    return lambda job: on_progress(job.stage, job.progress)


class _Keys(BaseModel):
    items: tuple[Key, ...]


def _job(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"
