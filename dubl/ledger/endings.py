"""The end of jobs: exactly once, with all notifications in the same transaction.

An attempt holds a job by its number (`Lease`). A call with an older number, or after a
cancellation, is refused. A repeated call, whose answer was lost, does nothing.
"""

from __future__ import annotations

import uuid

from dubl.errors import LeaseLost, no_job
from dubl.ledger.clock import utc_now
from dubl.ledger.database import LOCKED, Connection, Value
from dubl.ledger.records import DELIVERIES, JOBS
from dubl.types import Delivery, DeliveryState, JobState, Lease

UNFINISHED = "state IN ('queued', 'running')"


def hold(connection: Connection, lease: Lease) -> bool:
    """Whether this attempt may end the job; False if it has already ended it.

    Raises LeaseLost, JobNotFound.
    """
    statement = f"SELECT state, attempts FROM jobs WHERE id = ? {LOCKED}"
    row = connection.execute(statement, [lease.job_id]).fetchone()
    if row is None:
        raise no_job(lease.job_id)
    state, attempt = JobState(row[0]), int(row[1])
    if attempt != lease.attempt or state is JobState.CANCELLED:
        raise LeaseLost(
            "the job was cancelled, or another process has taken it over",
            context={"job_id": lease.job_id, "attempt": lease.attempt},
        )
    return state is JobState.RUNNING


def end_job(
    connection: Connection,
    job_id: str,
    state: JobState,
    *,
    result_id: str = "",
    created: bool = False,
    code: str = "",
    detail: str = "",
    dead: bool = False,
) -> None:
    """Ends a job, and its batch if it was the last unfinished child."""
    statement = (
        "UPDATE jobs SET state = ?, finished_at = ?, result_id = ?, created = ?, error_code = ?, "
        f"error_detail = ?, dead = ? WHERE id = ? RETURNING {JOBS.columns}"
    )
    values: list[Value] = [state.value, utc_now(), result_id, created, code, detail, dead, job_id]
    row = connection.execute(statement, values).fetchone()
    if row is None:
        raise no_job(job_id)
    job = JOBS.object(row)
    for url in job.callbacks:
        _announce(connection, job_id, url)
    if job.parent_id:
        end_batch(connection, job.parent_id)


def end_batch(connection: Connection, job_id: str) -> None:
    """Ends a batch whose children have all ended."""
    # Locked before its children are counted: two last ones may end at the same time.
    waiting = connection.execute(
        f"SELECT 1 FROM jobs WHERE id = ? AND state = 'running' AND due_at = '' {LOCKED}", [job_id]
    ).fetchone()
    running = f"SELECT 1 FROM jobs WHERE parent_id = ? AND {UNFINISHED} LIMIT 1"
    if waiting and not connection.execute(running, [job_id]).fetchone():
        end_job(connection, job_id, JobState.DONE, result_id=job_id, created=True)


def _announce(connection: Connection, job_id: str, url: str) -> None:
    now = utc_now()
    delivery = Delivery(
        id=f"msg_{uuid.uuid4().hex}",
        job_id=job_id,
        url=url,
        state=DeliveryState.PENDING,
        created_at=now,
        next_attempt_at=now,
    )
    DELIVERIES.put(connection, delivery)
