"""The ledger's engines side by side: python -m benchmarks.ledger_engines URL [N].

Records N jobs with their verdicts in a DuckDB file and in the empty PostgreSQL database at URL, in
turn, from four threads, and prints both rates and their ratio.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from benchmarks.ledger_snapshots import check_of
from dubl.ledger.ledger import Ledger
from dubl.types import Job, JobKind, JobState

THREADS = 4


def job_of(number: int) -> Job:
    return Job(
        id=f"job {number}",
        kind=JobKind.CHECK,
        state=JobState.QUEUED,
        subject_id=f"check {number}",
        request={"libraries": ["main"]},
        created_at=f"2026-01-01T00:00:00.{number % 1000:03d}Z",
    )


def a_second(call: Callable[[int], object], numbers: Sequence[int]) -> float:
    started = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(call, numbers))
    return len(numbers) / (time.perf_counter() - started)


def rates(place: str, count: int) -> dict[str, float]:
    """Calls a second."""
    numbers = range(count)
    with closing(Ledger(place)) as ledger:

        def finish(_: int) -> None:
            (job,) = ledger.jobs.claim(limit=1, lease_s=60)
            ledger.record_check(check_of(int(job.id.split()[1])), lease=job.lease)

        return {
            "accepted": a_second(lambda n: ledger.jobs.create(job_of(n), tries=5), numbers),
            "leased and done": a_second(finish, numbers),
            "read": a_second(lambda n: ledger.get_check(f"check {n}"), numbers),
        }


def main(url: str, count: int = 1000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = rates(str(Path(folder) / "ledger.duckdb"), count)
    server = rates(url, count)
    for name, rate in file.items():
        sys.stdout.write(
            f"{name}: DuckDB {rate:.0f}/s, PostgreSQL {server[name]:.0f}/s, "
            f"ratio {server[name] / rate:.1f}\n"
        )


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
