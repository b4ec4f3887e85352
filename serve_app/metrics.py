"""Prometheus metrics of the online service.

Every process sends its metrics to Ray's agent on its node, which Prometheus scrapes.
serve_app/scraping.py collects them for `/metrics`. docs/operate/operations.md describes them, with
Serve's own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from ray.util.metrics import Counter, Gauge, Histogram

from dubl.types import IndexHealth, Job, Quarantine, QuarantineState, Verdict, VideoFacts

if TYPE_CHECKING:
    from dubl.ledger.backlog import Backlog

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# Of the shorter side, in pixels: names of what is at most so large.
SIZES = ((240, "240p"), (480, "480p"), (720, "720p"), (1080, "1080p"), (2160, "2160p"))

ANSWERS = Histogram(
    "dubl_http_request_duration_seconds",
    "Time to the last byte of an answer",
    boundaries=[*SECONDS],
    tag_keys=("method", "route", "status"),
)
JOBS = Counter("dubl_jobs_total", "Jobs that ended", tag_keys=("kind", "state", "code"))
JOB_TIMES = Histogram(
    "dubl_job_duration_seconds",
    "Time from acceptance to the end of a job",
    boundaries=[*SECONDS, 1800.0, 7200.0],
    tag_keys=("kind",),
)
RETRIES = Counter("dubl_job_retries_total", "Attempts that will be made again", tag_keys=("code",))
STAGES = Histogram(
    "dubl_stage_seconds",
    "Time of one stage of one check",
    boundaries=[*SECONDS],
    tag_keys=("stage",),
)
VERDICTS = Counter("dubl_verdicts_total", "Verdicts", tag_keys=("outcome",))
SHADOWS = Counter(
    "dubl_shadow_checks_total",
    "Checks that another feature space answered too: agrees, differs, failed",
    tag_keys=("result",),
)
SIMILARITIES = Histogram(
    "dubl_check_similarity",
    "Similarity of a check's best match; 0 where there is none",
    boundaries=[*TENTHS],
)
CANDIDATES = Histogram(
    "dubl_check_candidates",
    "References that retrieval finds for a look",
    boundaries=[0.5, 1.5, 2.5, 5.5, 10.5, 20.5, 50.5],
)
INPUTS = Counter(
    "dubl_inputs_total", "Decoded videos by codec and size", tag_keys=("codec", "size")
)
INPUT_TIMES = Histogram(
    "dubl_input_duration_seconds",
    "Playing time of decoded videos",
    boundaries=[5.0, 15.0, 60.0, 180.0, 600.0, 1800.0, 7200.0],
)
DAMAGED = Counter("dubl_inputs_damaged_total", "Videos of which only a part could be read")
UNFINISHED = Gauge("dubl_jobs_unfinished", "Accepted jobs that have not ended", tag_keys=("state",))
OLDEST = Gauge("dubl_oldest_queued_job_age_seconds", "How long the oldest job that is due waits")
DEAD = Gauge("dubl_jobs_dead", "Jobs that were given up and may be queued again")
DELIVERIES = Gauge("dubl_webhooks_pending", "Webhooks that have not been delivered")
QUARANTINED = Gauge("dubl_quarantined_references", "References in quarantine", tag_keys=("state",))
INDEX_FRAMES = Gauge("dubl_index_frames", "Frames in the library", tag_keys=("state",))
INDEX_RECALL = Gauge("dubl_index_recall", "Share of exact search's hits in the last audit")
INDEX_AUDITED = Gauge("dubl_index_audit_timestamp_seconds", "When recall was last audited")
INDEX_KEPT_UP = Gauge("dubl_index_upkeep_timestamp_seconds", "When upkeep was last done")
SNAPSHOT = Gauge(
    "dubl_ledger_snapshot_timestamp_seconds", "When the ledger's snapshot was last up to date"
)
REFERENCES = Gauge("dubl_references", "References in all libraries")


def observe_answer(method: str, route: str, status: int, seconds: float) -> None:
    ANSWERS.observe(seconds, {"method": method, "route": route, "status": str(status)})


def count_job(job: Job) -> None:
    """Counts a finished job."""
    JOBS.inc(tags={"kind": job.kind, "state": job.state, "code": job.error_code or "none"})
    accepted = datetime.fromisoformat(job.created_at).timestamp()
    JOB_TIMES.observe(max(time.time() - accepted, 0.0), {"kind": job.kind})


def count_retry(code: str) -> None:
    RETRIES.inc(tags={"code": code})


def count_verdict(verdict: Verdict) -> None:
    VERDICTS.inc(tags={"outcome": verdict.outcome})
    SIMILARITIES.observe(max((match.similarity for match in verdict.matches), default=0.0))
    for stage, value_ms in verdict.timings_ms.items():
        STAGES.observe(value_ms / 1000, {"stage": stage})


def count_shadow(result: Literal["agrees", "differs", "failed"]) -> None:
    SHADOWS.inc(tags={"result": result})


def count_input(facts: VideoFacts) -> None:
    INPUTS.inc(tags={"codec": facts.codec, "size": size_name(facts)})
    INPUT_TIMES.observe(facts.duration_s)
    if facts.damaged:
        DAMAGED.inc()


def size_name(facts: VideoFacts) -> str:
    """A class of sizes, by the shorter side."""
    side = min(facts.width, facts.height)
    return next((name for limit, name in SIZES if side <= limit), "larger")


def count_candidates(number: int) -> None:
    CANDIDATES.observe(number)


def show_backlog(backlog: Backlog) -> None:
    UNFINISHED.set(backlog.queued, {"state": "queued"})
    UNFINISHED.set(backlog.running, {"state": "running"})
    OLDEST.set(backlog.oldest_due_s)
    DEAD.set(backlog.dead)
    DELIVERIES.set(backlog.deliveries)


def show_quarantines(found: Sequence[Quarantine]) -> None:
    for state in (QuarantineState.HELD, QuarantineState.KEPT):
        QUARANTINED.set(sum(one.state is state for one in found), {"state": state})


def show_snapshot(shipped_at: float) -> None:
    SNAPSHOT.set(shipped_at)


def show_index(health: IndexHealth, *, references: int, kept_up_at: float) -> None:
    """Sets metrics of the index. The recall is NaN if it was not audited since its training."""
    INDEX_FRAMES.set(health.frames, {"state": "all"})
    INDEX_FRAMES.set(health.unindexed_frames, {"state": "unindexed"})
    INDEX_FRAMES.set(health.frames_at_training, {"state": "at_training"})
    INDEX_RECALL.set(math.nan if health.recall is None else health.recall)
    if health.audited_at:
        INDEX_AUDITED.set(datetime.fromisoformat(health.audited_at).timestamp())
    INDEX_KEPT_UP.set(kept_up_at)
    REFERENCES.set(references)
