"""A full or read-only disk: a clear error, nothing acknowledged lost, and work goes on by itself
when there is room again."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dubl.assembly import make_ledger, make_store
from dubl.backup import MANIFEST, write_backup
from dubl.errors import StoreUnavailable
from dubl.ledger.ledger import Ledger
from dubl.media.spool import Spool, SpoolWriter
from dubl.settings import Settings, load_settings
from dubl.types import Check
from tests.support.stored_videos import random_entry
from tests.unit.test_backup import CHECK

SIZE_MB = 40


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as exc:
        pytest.skip(f"a small disk cannot be mounted here, which takes root: {exc}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """No room on the disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    try:
        yield
    finally:
        filler.unlink()


def settings_on(disk: Path) -> Settings:
    return load_settings(overrides=[f"data_dir={disk}"], environment={})


def check(number: int, *, size: int = 200_000) -> Check:
    """A verdict that takes about so many bytes."""
    return dataclasses.replace(CHECK, id=f"c{number}", query_name=os.urandom(size // 2).hex())


def test_a_library_on_a_full_disk_keeps_what_it_has_and_goes_on_with_room(disk: Path) -> None:
    settings = settings_on(disk)
    store = make_store(settings)
    store.register([random_entry(settings, "first", seed=1)])
    with filled(disk):
        with pytest.raises(StoreUnavailable, match="No space left"):
            store.register([random_entry(settings, "second", seed=2, frames=300)])
        assert store.libraries() == {"main": 1}
        assert store.read_features(["first"])["first"].timestamps_s.shape == (20,)
    (again,) = store.register([random_entry(settings, "second", seed=2)])
    assert again.created
    store.optimize(full=True)
    assert make_store(settings).libraries() == {"main": 2}
    assert store.tables.frames.count_rows() == 40


def test_a_ledger_on_a_full_disk_loses_nothing_and_goes_on_with_room(
    disk: Path, tmp_path: Path
) -> None:
    """Enough is written for DuckDB to move its log into the file: a disk that is full just then
    makes it give the file up."""
    ledger, kept = Ledger(disk / "ledger.duckdb"), []
    errors: list[str] = []
    for number in range(1000):
        try:
            ledger.record_check(check(number))
        except StoreUnavailable as exc:
            errors.append(exc.detail)
            if len(errors) == 3:
                break
        else:
            kept.append(f"c{number}")
    assert len(errors) == 3
    assert all("No space left" in error for error in errors)
    assert ledger.get_check(kept[0]).id == kept[0]
    _mount("-o", f"remount,size={4 * SIZE_MB}m", str(disk))
    ledger.record_check(check(1000))
    kept.append("c1000")
    # As after a kill: the files as they lie, the log among them.
    crashed = tmp_path / "crashed"
    shutil.copytree(disk, crashed)
    ledger.close()
    for folder in (disk, crashed):
        with closing(Ledger(folder / "ledger.duckdb")) as opened:
            assert [name for name in kept if opened.get_check(name).id != name] == []


def test_an_upload_to_a_full_disk_is_refused_and_leaves_nothing(disk: Path) -> None:
    spool = Spool(disk / "spool", max_size_bytes=1 << 30)
    with filled(disk), spool.writer("a.mp4") as writer, pytest.raises(StoreUnavailable):
        _write_much(writer)
    assert list((disk / "spool").iterdir()) == []
    with spool.writer("a.mp4") as writer:
        writer.write(b"a video")
        assert writer.commit().size_bytes == 7


def _write_much(writer: SpoolWriter) -> None:
    for _ in range(SIZE_MB):
        writer.write(bytes(1 << 20))


def test_a_back_up_to_a_full_disk_fails_and_is_none(disk: Path, tmp_path: Path) -> None:
    settings = settings_on(tmp_path / "data")
    make_store(settings).register([random_entry(settings, "a", seed=1, frames=5000)])
    with closing(make_ledger(settings)) as ledger, filled(disk), pytest.raises(StoreUnavailable):
        write_backup(disk / "copy", settings, copy_ledger=ledger.copy_to)
    assert not (disk / "copy" / MANIFEST).exists()
    with closing(make_ledger(settings)) as ledger:
        ledger.record_check(check(1))
        write_backup(disk / "second", settings, copy_ledger=ledger.copy_to)


def test_a_read_only_store_is_read_and_refuses_writes_by_name(disk: Path, tmp_path: Path) -> None:
    settings = settings_on(disk)
    make_store(settings).register([random_entry(settings, "first", seed=1)])
    make_ledger(settings).close()
    view = tmp_path / "view"
    view.mkdir()
    _mount("--bind", str(disk), str(view))
    try:
        _mount("-o", "remount,bind,ro", str(view))
        there = settings_on(view)
        store = make_store(there)
        assert store.libraries() == {"main": 1}
        with pytest.raises(StoreUnavailable, match="Read-only file system"):
            store.register([random_entry(there, "second", seed=2)])
        with pytest.raises(StoreUnavailable, match="Read-only file system"):
            make_ledger(there)
        with pytest.raises(StoreUnavailable, match="Read-only file system"):
            Spool(there.spool_dir, max_size_bytes=10).writer("a.mp4")
        _mount("-o", "remount,bind,rw", str(view))
        store.register([random_entry(there, "second", seed=2)])
        assert make_store(settings).libraries() == {"main": 2}
    finally:
        subprocess.run(["umount", "--lazy", str(view)], check=True)
