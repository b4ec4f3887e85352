"""Prometheus metrics of the online service, in seconds and counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from dubl.types import Job, Timings, Verdict

JOBS = Counter("dubl_jobs_total", "Jobs that ended", ["kind", "state", "code"])
UNFINISHED = Gauge("dubl_jobs_unfinished", "Jobs that were accepted and have not ended")
VERDICTS = Counter("dubl_verdicts_total", "Verdicts", ["outcome"])
STAGES = Histogram(
    "dubl_stage_seconds",
    "Time of one stage of one job",
    ["stage"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300),
)


def count_job(job: Job) -> None:
    JOBS.labels(kind=job.kind, state=job.state, code=job.error_code).inc()


def count_verdict(verdict: Verdict) -> None:
    VERDICTS.labels(outcome=verdict.outcome).inc()
    observe_stages(verdict.timings_ms)


def observe_stages(timings_ms: Timings) -> None:
    for stage, value in timings_ms.items():
        STAGES.labels(stage=stage).observe(value / 1000)
