"""Claims about what is left in the spool."""

from __future__ import annotations

import os
import time
from pathlib import Path

from dubl.contract.orders import CheckOrder, VideoInput, new_job
from dubl.engine.reconciler import Reconciler
from dubl.ledger.ledger import Ledger
from dubl.media.spool import Spool
from dubl.settings import load_settings
from dubl.types import JobRank, VideoSource

DAY_S = 86400.0


def spooled(folder: Path, name: str, *, age_s: float) -> VideoSource:
    with Spool(folder, max_size_bytes=100).writer(name) as writer:
        writer.write(b"x")
        source = writer.commit()
    os.utime(source.path, (time.time() - age_s,) * 2)
    return source


def test_old_files_without_a_job_go_and_those_of_jobs_stay(tmp_path: Path) -> None:
    settings = load_settings(overrides=[f"data_dir={tmp_path}"], environment={})
    ledger = Ledger(tmp_path / "ledger.duckdb")
    names = ("queued", "done", "dead", "orphan", "fresh")
    files = {
        name: spooled(settings.spool_dir, name, age_s=0 if name == "fresh" else DAY_S)
        for name in names
    }
    for name in ("queued", "done", "dead"):
        order = CheckOrder(id=name, video=VideoInput(upload=files[name]))
        created_at = "2026-01-01T00:00:00.000Z"
        job = new_job(order, job_id=name, created_at=created_at, rank=JobRank.ORDINARY)
        leased = ledger.jobs.create(job, tries=1, lease_s=0 if name == "queued" else 60)
        if name == "done":
            ledger.jobs.finish(leased.lease, result_id=name, created=True)
        elif name == "dead":
            ledger.jobs.retry(leased.lease, code="overloaded", detail="", delay_s=0)
    assert Reconciler(ledger, settings).sweep() == 2
    left = {path.name for path in settings.spool_dir.iterdir()}
    assert left == {Path(files[name].path).name for name in ("queued", "dead", "fresh")}
    ledger.close()
