"""Claims about opening the ledger while a replica that is being replaced still holds it."""

from __future__ import annotations

import asyncio
import errno
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dubl.engine.ledger import LedgerStep, open_ledger
from dubl.errors import StoreHeld, StoreUnavailable
from dubl.ledger.ledger import Ledger
from dubl.ledger.snapshots import Snapshots
from dubl.objects import ObjectFolder
from dubl.settings import Settings, load_settings

HOLDER = """
import sys
from dubl.ledger.ledger import Ledger
ledger = Ledger(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(overrides=[f"data_dir={tmp_path}"], environment={})


@pytest.fixture
def holder(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the ledger until its input is closed."""
    command = [sys.executable, "-c", HOLDER, str(settings.ledger_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_ledger_is_opened_as_soon_as_it_is_let_go(
    settings: Settings, holder: subprocess.Popen[str]
) -> None:
    async def story() -> None:
        opening = asyncio.create_task(asyncio.to_thread(open_ledger, settings, patience_s=120))
        done, _ = await asyncio.wait({opening}, timeout=0.5)
        assert not done
        assert holder.stdin is not None
        holder.stdin.close()
        (await opening).close()

    asyncio.run(story())


@pytest.mark.usefixtures("holder")
def test_a_ledger_that_is_never_let_go_is_told(settings: Settings) -> None:
    with pytest.raises(StoreHeld):
        open_ledger(settings, patience_s=0)


@pytest.mark.usefixtures("holder")
def test_a_copy_is_not_restored_over_a_ledger_that_is_written(
    settings: Settings, tmp_path: Path
) -> None:
    bucket = f"file://{tmp_path / 'bucket'}"
    with closing(Ledger(tmp_path / "elsewhere.duckdb")) as newer:
        assert Snapshots(ObjectFolder(bucket), keep=1).ship(newer)
    elsewhere = settings.ledger.model_copy(update={"snapshots": bucket})
    before = settings.ledger_path.stat().st_ino
    with pytest.raises(StoreHeld):
        open_ledger(settings.model_copy(update={"ledger": elsewhere}), patience_s=0)
    assert settings.ledger_path.stat().st_ino == before


def test_what_is_wrong_for_good_is_not_waited_for(settings: Settings) -> None:
    settings.ledger_path.mkdir()
    with pytest.raises(StoreUnavailable) as told:
        open_ledger(settings, patience_s=120)
    assert not isinstance(told.value, StoreHeld)


def test_a_disk_that_is_full_now_ends_no_snapshots() -> None:
    class Full:
        tries = 0

        def ship(self, _: object) -> bool:
            self.tries += 1
            raise OSError(errno.ENOSPC, "no space left on device")

    step, full = object.__new__(LedgerStep), Full()
    for name, value in {"_snapshots": full, "_ledger": None}.items():
        setattr(step, name, value)
    for _ in range(2):
        step.ship()
    assert full.tries == 2
