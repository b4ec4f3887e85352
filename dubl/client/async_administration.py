"""What operators ask of the service, awaited."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from dubl.client import admin_operations, operations
from dubl.client.admin_operations import OnJob
from dubl.client.errors import StillRunning
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
from dubl.client.operations import Operation

Result = TypeVar("Result")


class AsyncAdministration(ABC):
    """The part of AsyncClient for operators."""

    @abstractmethod
    async def _ask(self, operation: Operation[Result]) -> Result: ...

    async def submit_batch(
        self,
        archive: Path | str = "",
        *,
        links: Sequence[str] = (),
        kind: str = "check",
        library: str = "",
        owner: str = "",
        callback_url: str = "",
    ) -> Accepted:
        """Many videos as one job: a zip, or links. `kind`: check or reference."""
        fields = {"kind": kind, "library": library, "owner": owner, "callback_url": callback_url}
        operation = admin_operations.submit_batch(
            archive=Path(archive) if archive else None, links=links, fields=fields
        )
        return await self._ask(operation)

    async def get_job(self, job_id: str) -> Job:
        return await self._ask(operations.get_job(job_id))

    async def wait_for_job(
        self, job_id: str, *, timeout_s: float = 600.0, on_job: OnJob | None = None
    ) -> Job:
        """The job when it has ended, however; `on_job` is told of it each time it is looked at.

        Raises StillRunning after the time.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            job = await self._ask(operations.get_job(job_id))
            if on_job is not None:
                on_job(job)
            if job.ended:
                return job
            if time.monotonic() >= deadline:
                raise StillRunning(job_id)
            await asyncio.sleep(operations.POLL_PAUSE_S)

    async def list_jobs(
        self,
        *,
        status: str = "",
        batch: str = "",
        dead: bool | None = None,
        limit: int = 50,
        cursor: str = "",
    ) -> Page[Job]:
        """`batch` keeps the children of one, `dead` those that were given up, or the others."""
        return await self._ask(
            admin_operations.list_jobs(
                status=status, batch=batch, dead=dead, limit=limit, cursor=cursor
            )
        )

    async def cancel_job(self, job_id: str) -> Job:
        return await self._ask(admin_operations.cancel_job(job_id))

    async def requeue_job(self, job_id: str) -> Job:
        """Queues a dead job again."""
        return await self._ask(admin_operations.requeue_job(job_id))

    async def list_deliveries(
        self, *, job_id: str = "", status: str = "", limit: int = 50, cursor: str = ""
    ) -> Page[Delivery]:
        return await self._ask(
            admin_operations.list_deliveries(
                job_id=job_id, status=status, limit=limit, cursor=cursor
            )
        )

    async def replay_delivery(self, delivery_id: str) -> Delivery:
        """Delivers a webhook once more."""
        return await self._ask(admin_operations.replay_delivery(delivery_id))

    async def create_key(
        self,
        name: str,
        *,
        scopes: Sequence[str],
        libraries: Sequence[str] = (),
        requests_per_minute: int = 0,
        jobs_per_day: int = 0,
    ) -> NewKey:
        """The token is in this answer and nowhere else."""
        body = {
            "name": name,
            "scopes": list(scopes),
            "libraries": list(libraries),
            "requests_per_minute": requests_per_minute,
            "jobs_per_day": jobs_per_day,
        }
        return await self._ask(admin_operations.create_key(body))

    async def list_keys(self) -> tuple[Key, ...]:
        """All keys, the revoked ones too, without their secrets."""
        return await self._ask(admin_operations.list_keys())

    async def revoke_key(self, key_id: str) -> Key:
        return await self._ask(admin_operations.revoke_key(key_id))

    async def list_spaces(self, *, since: str = "") -> Spaces:
        """Feature spaces in service, which one answers, and how the other one compares: by shadows
        since a time (ISO 8601), or by all."""
        return await self._ask(admin_operations.list_spaces(since=since))

    async def missing_references(
        self, space_id: str, *, limit: int = 500, cursor: str = ""
    ) -> Page[MissingReference]:
        """What a space lacks and another one holds, in the order of ids."""
        return await self._ask(
            admin_operations.missing_references(space_id, limit=limit, cursor=cursor)
        )

    async def switch_space(
        self, space_id: str, *, force: bool = False, note: str = ""
    ) -> SpaceSwitch:
        """Lets a space answer from now on; `force`: even if it lacks references."""
        return await self._ask(admin_operations.switch_space(space_id, force=force, note=note))

    async def roll_back_space(self, *, note: str = "") -> SpaceSwitch:
        """Lets the space answer again that did before the last switch."""
        return await self._ask(admin_operations.roll_back_space(note=note))
