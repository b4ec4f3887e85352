"""Between domain objects and the ledger's rows."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import TypeAdapter

from dubl.ledger.database import Row, Value
from dubl.types import (
    Check,
    Delivery,
    DeliveryState,
    Job,
    JobKind,
    JobRank,
    JobState,
    Verdict,
)

JOB_COLUMNS = (
    "id",
    "kind",
    "state",
    "subject_id",
    "request",
    "created_at",
    "rank",
    "parent_id",
    "callbacks",
    "finished_at",
    "attempts",
    "result_id",
    "created",
    "error_code",
    "error_detail",
    "dead",
    "request_id",
    "traceparent",
)
DELIVERY_COLUMNS = (
    "id",
    "job_id",
    "url",
    "state",
    "created_at",
    "next_attempt_at",
    "attempts",
    "status",
    "error",
    "delivered_at",
)
CHECK_COLUMNS = (
    "id",
    "query_name",
    "query_sha256",
    "libraries",
    "created_at",
    "earlier_id",
    "verdict",
)
# Copies of what stands in the verdict, to filter and to report by.
VERDICT_COLUMNS = (
    "outcome",
    "probability",
    "model_id",
    "policy_version",
    "index_version",
    "top_reference_id",
)
VERDICT = TypeAdapter(Verdict)


def job_row(job: Job) -> list[Value]:
    """Values of JOB_COLUMNS."""
    return [
        job.id,
        job.kind.value,
        job.state.value,
        job.subject_id,
        json.dumps(dict(job.request), ensure_ascii=False),
        job.created_at,
        int(job.rank),
        job.parent_id,
        json.dumps(job.callbacks),
        job.finished_at,
        job.attempts,
        job.result_id,
        job.created,
        job.error_code,
        job.error_detail,
        job.dead,
        job.request_id,
        job.traceparent,
    ]


def to_job(row: Row) -> Job:
    """From values of JOB_COLUMNS."""
    values = dict(zip(JOB_COLUMNS, row, strict=True))
    return Job(
        id=str(values["id"]),
        kind=JobKind(str(values["kind"])),
        state=JobState(str(values["state"])),
        subject_id=str(values["subject_id"]),
        request=json.loads(str(values["request"])),
        created_at=str(values["created_at"]),
        rank=JobRank(int(str(values["rank"]))),
        parent_id=str(values["parent_id"]),
        callbacks=to_callbacks(values["callbacks"]),
        finished_at=str(values["finished_at"]),
        attempts=int(str(values["attempts"])),
        result_id=str(values["result_id"]),
        created=bool(values["created"]),
        error_code=str(values["error_code"]),
        error_detail=str(values["error_detail"]),
        dead=bool(values["dead"]),
        request_id=str(values["request_id"]),
        traceparent=str(values["traceparent"]),
    )


def delivery_row(delivery: Delivery) -> list[Value]:
    """Values of DELIVERY_COLUMNS."""
    return [
        delivery.id,
        delivery.job_id,
        delivery.url,
        delivery.state.value,
        delivery.created_at,
        delivery.next_attempt_at,
        delivery.attempts,
        delivery.status,
        delivery.error,
        delivery.delivered_at,
    ]


def to_delivery(row: Row) -> Delivery:
    """From values of DELIVERY_COLUMNS."""
    values = dict(zip(DELIVERY_COLUMNS, row, strict=True))
    return Delivery(
        id=str(values["id"]),
        job_id=str(values["job_id"]),
        url=str(values["url"]),
        state=DeliveryState(str(values["state"])),
        created_at=str(values["created_at"]),
        next_attempt_at=str(values["next_attempt_at"]),
        attempts=int(str(values["attempts"])),
        status=int(str(values["status"])),
        error=str(values["error"]),
        delivered_at=str(values["delivered_at"]),
    )


def check_row(check: Check) -> list[Value]:
    """Values of CHECK_COLUMNS and VERDICT_COLUMNS."""
    verdict = check.verdict
    return [
        check.id,
        check.query_name,
        check.query_sha256,
        list(check.libraries),
        check.created_at,
        check.earlier_id,
        VERDICT.dump_json(verdict).decode(),
        verdict.outcome.value,
        verdict.probability,
        verdict.model_id,
        verdict.policy_version,
        verdict.index_version,
        verdict.matches[0].reference_id if verdict.matches else "",
    ]


def to_check(row: Row) -> Check:
    """From values of CHECK_COLUMNS."""
    values = dict(zip(CHECK_COLUMNS, row, strict=True))
    libraries = values["libraries"]
    return Check(
        id=str(values["id"]),
        query_name=str(values["query_name"]),
        query_sha256=str(values["query_sha256"]),
        libraries=tuple(libraries) if isinstance(libraries, Sequence) else (),
        created_at=str(values["created_at"]),
        earlier_id=str(values["earlier_id"]),
        verdict=VERDICT.validate_json(str(values["verdict"])),
    )


def to_callbacks(value: object) -> tuple[str, ...]:
    """Addresses, from the column's text."""
    return tuple(str(url) for url in json.loads(str(value)))
