"""Claims about what a job leaves that was ended by somebody else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from dubl.contract.orders import ReferenceOrder, VideoInput, new_job
from dubl.engine.ledger import LedgerClient
from dubl.engine.shell import NO_SHELL
from dubl.engine.work import Work
from dubl.errors import LeaseLost
from dubl.ledger.clock import utc_now
from dubl.settings import load_settings
from dubl.types import JobRank, Reference, ReferenceDraft, Registration, VideoSource
from tests.support.local_ledger import LocalLedger

SOURCE = VideoSource(path="/a.mp4", sha256="bytes", size_bytes=1, name="a.mp4")


class Librarian:
    """Its handle: notes what is withdrawn."""

    def __init__(self) -> None:
        self.withdrawn: list[str] = []

    @property
    def withdraw(self) -> Librarian:
        return self

    async def remote(self, reference_id: str, since: str) -> None:
        assert since
        self.withdrawn.append(reference_id)


@pytest.mark.parametrize(("ended", "withdrawn"), [("cancelled", ["film"]), ("taken over", [])])
def test_a_reference_is_withdrawn_only_if_its_registration_was_cancelled(
    tmp_path: Path, ended: str, withdrawn: list[str]
) -> None:
    local, librarian = LocalLedger(tmp_path / "ledger.duckdb"), Librarian()
    jobs = local.ledger.jobs
    order = ReferenceOrder(
        video=VideoInput(upload=SOURCE), draft=ReferenceDraft(id="film", library="main")
    )
    accepted = new_job(order, job_id="j", created_at=utc_now(), rank=JobRank.ORDINARY)
    job = jobs.create(accepted, tries=3, lease_s=1e-3)

    class Flow:
        async def register(self, *_: object, **__: object) -> Registration:
            if ended == "cancelled":
                jobs.cancel("j")
            else:
                await asyncio.sleep(0.01)
                assert jobs.claim(limit=1, lease_s=60.0)
            reference = Reference(
                id="film",
                library="main",
                title="",
                owner="",
                metadata={},
                source="a.mp4",
                sha256="bytes",
                duration_s=1.0,
                frame_count=1,
                created_at=utc_now(timespec="microseconds"),
            )
            return Registration(reference=reference, created=True)

    class Steps:
        lanes = ()

        def __init__(self) -> None:
            self.librarian = librarian

    settings = load_settings(overrides=[f"data_dir={tmp_path}"], environment={})
    work = Work(
        steps=cast(Any, Steps()),
        flow=cast(Any, Flow()),
        ledger=LedgerClient(local),
        settings=settings,
        shell=NO_SHELL,
    )
    with pytest.raises(LeaseLost):
        asyncio.run(work.perform(job, order, lambda _: None))
    assert librarian.withdrawn == withdrawn
    local.ledger.close()
