"""How long calls of the ledger wait while it is copied: python -m benchmarks.ledger_snapshots N.

Fills a ledger with N checks, then copies it while a thread records checks and reads one.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path

from dubl.ledger.ledger import Ledger
from dubl.types import Check, Match, Outcome, Verdict

PER_S = 50  # calls of the other thread in a second, about half of what a ledger can do


def check_of(number: int) -> Check:
    """A check with five matches; its verdict has about 2 KB as JSON."""
    matches = tuple(
        Match(
            reference_id=f"reference {number % 1000} {place}",
            library="main",
            similarity=0.5,
            probability=0.5,
            segments=(),
            outcome=Outcome.REVIEW,
        )
        for place in range(5)
    )
    return Check(
        id=f"check {number}",
        query_name="upload.mp4",
        query_sha256=f"{number:064x}",
        libraries=(),
        created_at=f"2026-01-{1 + number % 28:02d}T00:00:00.{number % 1000:03d}Z",
        verdict=Verdict(
            outcome=Outcome.REVIEW,
            probability=0.5,
            matches=matches,
            model_id="m",
            policy_version="1",
            index_version=1,
        ),
    )


def fill(ledger: Ledger, count: int) -> None:
    """Multiplies one check in SQL; a million calls would take hours."""
    ledger.record_check(check_of(0))
    with ledger._database.transaction("be filled") as connection:
        for table, key in (("checks", "id"), ("matches", "check_id")):
            connection.execute(
                f"INSERT INTO {table} SELECT one.* REPLACE ({key} || ' ' || n AS {key}) "
                f"FROM {table} AS one, range(1, {count}) AS numbers(n)"
            )


def main(count: int) -> None:
    """Prints the longest and the 99th percentile of the waits, in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.duckdb")
        fill(ledger, count)
        ended, waits = threading.Event(), list[float]()

        def ask() -> None:
            number = 1
            while not ended.is_set():
                started = time.perf_counter()
                ledger.record_check(check_of(number))
                ledger.get_check(f"check {number}")
                waits.append((time.perf_counter() - started) * 1000)
                number += 1
                time.sleep(1 / PER_S)

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(5)
        alone, waits[:] = sorted(waits), []
        started = time.perf_counter()
        ledger.copy_to(Path(folder) / "copy.duckdb")
        copied_s = time.perf_counter() - started
        during = sorted(waits)
        ended.set()
        asking.join()
        size = (Path(folder) / "copy.duckdb").stat().st_size
        sys.stdout.write(f"{count} checks, {size / 1e6:.0f} MB: copied in {copied_s:.1f} s\n")
        for name, found in (("alone", alone), ("during the copy", during)):
            p99 = found[int(len(found) * 0.99)] if found else float("nan")
            longest = found[-1] if found else copied_s * 1000
            sys.stdout.write(
                f"{name}: {len(found)} calls, p99 {p99:.0f} ms, longest {longest:.0f} ms\n"
            )
        ledger.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
