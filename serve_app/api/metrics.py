"""Prometheus metrics of the online service, in seconds and counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram

from dubl.types import IndexHealth, Job, Quarantine, QuarantineState, Timings, Verdict

JOBS = Counter("dubl_jobs_total", "Jobs that ended", ["kind", "state", "code"])
UNFINISHED = Gauge("dubl_jobs_unfinished", "Jobs that were accepted and have not ended")
VERDICTS = Counter("dubl_verdicts_total", "Verdicts", ["outcome"])
INDEX_FRAMES = Gauge("dubl_index_frames", "Frames in the library", ["state"])
INDEX_RECALL = Gauge("dubl_index_recall", "Share of exact search's hits in the last audit")
QUARANTINED = Gauge("dubl_quarantined_references", "References in quarantine", ["state"])
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


def show_quarantines(found: Sequence[Quarantine]) -> None:
    for state in (QuarantineState.HELD, QuarantineState.KEPT):
        QUARANTINED.labels(state=state).set(sum(one.state is state for one in found))


def show_index(health: IndexHealth) -> None:
    """Recall is not a number where the index was not audited since its training."""
    INDEX_FRAMES.labels(state="all").set(health.frames)
    INDEX_FRAMES.labels(state="unindexed").set(health.unindexed_frames)
    INDEX_FRAMES.labels(state="at_training").set(health.frames_at_training)
    INDEX_RECALL.set(math.nan if health.recall is None else health.recall)
