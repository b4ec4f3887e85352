"""Claims about writers of an object store, where one commits while another is in between.

The other writer's commits are made at a fixed point of the first one's work, so nothing is left to
chance.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import pyarrow as pa
import pytest
from lancedb.index import BTree
from lancedb.table import LanceTable

from dubl.contract.orders import ReferenceChange
from dubl.errors import ReferenceNotFound, StoreUnavailable
from dubl.index import clock, failures, tables, upkeep, writing
from dubl.index.spaces import fill
from dubl.index.store import Failure, LibraryStore
from dubl.types import Reference
from tests.unit.index.videos import SETTINGS, SPEC, OpenStore, entry

FRAMES = 20
Act = Callable[[], object]


@pytest.fixture
def stores(open_store: OpenStore) -> tuple[LibraryStore, LibraryStore]:
    return open_store(scheme="file://"), open_store(scheme="file://")


def once(act: Act) -> Act:
    """`act`, the first time it is called."""
    left = [act]
    return lambda: left.pop()() if left else None


def during_the_merge(monkeypatch: pytest.MonkeyPatch, act: Act) -> None:
    """`act` happens when the merge has begun, before it commits."""
    write, act = writing.references_table, once(act)

    def streamed(*arguments: object) -> object:
        table: pa.Table = write(*arguments)  # type: ignore[arg-type]

        def batches() -> object:
            act()
            yield from table.to_batches()

        return pa.RecordBatchReader.from_batches(table.schema, batches())

    monkeypatch.setattr(writing, "references_table", streamed)


def after_the_merge(store: LibraryStore, monkeypatch: pytest.MonkeyPatch, act: Act) -> None:
    """`act` happens when the store's merge has committed, before anything else."""
    commit, act = writing.committed, once(act)

    def committed(table: LanceTable, change: Callable[[], object]) -> object:
        result = commit(table, change)
        if table is store.tables.references and hasattr(result, "num_inserted_rows"):
            act()
        return result

    monkeypatch.setattr(writing, "committed", committed)


def frames_of(store: LibraryStore, reference: Reference) -> int:
    where = f"reference_id = '{reference.id}' AND created_at = '{reference.created_at}'"
    return int(store.tables.frames.count_rows(where))


def ids(store: LibraryStore) -> list[str]:
    return sorted(reference.id for reference in store.list().items)


def test_an_id_that_another_writer_commits_during_the_merge_stays_once(
    stores: tuple[LibraryStore, LibraryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rival = stores
    store.register([entry("old")])
    store.tables.references.create_index("id", config=BTree(), name="id_idx", replace=True)
    during_the_merge(monkeypatch, lambda: rival.register([entry("a"), entry("b")]))
    made = store.register([entry("a"), entry("c")])
    assert [one.created for one in made] == [False, True]
    assert ids(store) == ["a", "b", "c", "old"]
    assert made[0].reference == rival.get("a")
    assert [frames_of(store, store.get(one)) for one in "abc"] == [FRAMES] * 3
    assert store.tables.frames.count_rows() == 4 * FRAMES


def test_an_id_that_two_writers_register_in_the_same_microsecond_has_its_frames_once(
    stores: tuple[LibraryStore, LibraryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2099, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(clock, "datetime", Mock(wraps=datetime, now=lambda _: moment))
    store, rival = stores
    same = [entry(f"same {number}") for number in range(20)]
    during_the_merge(monkeypatch, lambda: rival.register(same))
    assert sum(one.created for one in store.register(same)) <= 2  # by chance of nanoseconds
    assert store.tables.frames.count_rows() <= 22 * FRAMES


def test_an_id_that_was_given_away_before_its_registration_is_withdrawn_stays(
    stores: tuple[LibraryStore, LibraryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rival = stores

    def used_again() -> None:
        rival.delete("late")
        rival.register([entry("late", sha256="other bytes", seed=2)])

    during_the_merge(monkeypatch, lambda: rival.register([entry("first", sha256="bytes")]))
    after_the_merge(store, monkeypatch, used_again)
    (made,) = store.register([entry("late", sha256="bytes")])
    assert (made.created, made.reference.id) == (False, "first")
    assert ids(store) == ["first", "late"]
    late = store.get("late")
    assert late.sha256 == "other bytes"
    assert frames_of(store, late) == FRAMES


def test_frames_of_the_next_registration_of_an_id_stay(
    stores: tuple[LibraryStore, LibraryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rival = stores

    def used_again() -> None:
        rival.delete("a")
        rival.register([entry("a", sha256="other bytes", seed=2)])

    after_the_merge(store, monkeypatch, used_again)
    store.register([entry("a")])
    there = store.get("a")
    assert there.sha256 == "other bytes"
    assert frames_of(store, there) == FRAMES


@pytest.mark.parametrize("change", ["delete", "retitle"])
def test_a_change_reaches_only_the_registration_that_was_looked_up(
    stores: tuple[LibraryStore, LibraryStore], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    store, rival = stores
    store.register([entry("a")])
    get, act = store.get, once(lambda: (rival.delete("a"), rival.register([entry("a", seed=2)])))

    def overtaken(reference_id: str) -> Reference:
        found = get(reference_id)
        act()
        return found

    monkeypatch.setattr(store, "get", overtaken)
    if change == "delete":
        store.delete("a")
    else:
        with pytest.raises(ReferenceNotFound):
            store.update("a", ReferenceChange(title="new"))
    there = rival.get("a")
    assert (there.title, there.library) == ("title of a", "main")
    where = f"created_at = '{there.created_at}' AND library = 'main'"
    assert store.tables.frames.count_rows(where) == FRAMES


def test_the_same_bytes_under_a_third_id_belong_to_the_first(
    stores: tuple[LibraryStore, LibraryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rival = stores
    answers = []

    def asked_again() -> None:
        for name in ("late", "third"):
            answers.extend(rival.register([entry(name, sha256="bytes")]))

    during_the_merge(monkeypatch, lambda: rival.register([entry("first", sha256="bytes")]))
    after_the_merge(store, monkeypatch, asked_again)
    answers += store.register([entry("late", sha256="bytes")])
    assert [one.reference.id for one in answers] == ["first"] * 3
    assert ids(store) == ["first"]


@pytest.mark.parametrize("method", ["create_index", "optimize"])
def test_upkeep_repeats_what_another_writer_preempted(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(upkeep, "MIN_INDEXED_ROWS", 1)
    store = open_store(scheme="file://")
    store.register([entry("a")])
    work, preempted = getattr(LanceTable, method), []

    def conflicting(table: LanceTable, *arguments: object, **named: object) -> object:
        if table.name not in preempted:
            preempted.append(table.name)
            raise RuntimeError("lance error: Retryable commit conflict for version 7")
        return work(table, *arguments, **named)

    monkeypatch.setattr(LanceTable, method, conflicting)
    store.optimize(full=True)
    assert sorted(preempted) == ["frames", "references"]
    found = {index.name for index in store.tables.references.list_indices()}
    assert found == {"id_idx", "sha256_idx"}


def test_a_failure_recorded_meanwhile_is_no_solved_one(
    stores: tuple[LibraryStore, LibraryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rival = stores
    failed = Failure(path="a.mp4", code="not_a_video", detail="")
    store.record_failures([failed])
    read, act = failures._of_paths, once(lambda: rival.record_failures([failed]))

    def overtaken(*arguments: object) -> object:
        found = read(*arguments)  # type: ignore[arg-type]
        act()
        return found

    monkeypatch.setattr(failures, "_of_paths", overtaken)
    store.record_failures([], solved=["a.mp4"])
    assert [one.attempts for one in rival.failures()] == [2]


def test_an_import_leaves_the_frames_of_an_active_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "SETTLED_S", 0.0)

    def opened(name: str) -> LibraryStore:
        return LibraryStore(f"file://{tmp_path / name}", spec=SPEC, settings=SETTINGS)

    source, target = opened("source"), opened("target")
    source.register([entry("a")])
    source.export_references(tmp_path / "copy.parquet")
    target.register([entry("slow")])
    row = target.tables.references.search().to_arrow()
    target.tables.references.delete("true")  # as before its second commit
    target.import_references(tmp_path / "copy.parquet")
    target.tables.references.add(row)
    assert frames_of(target, target.get("slow")) == FRAMES


def test_filling_a_space_forgets_features_of_an_id_that_was_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = LibraryStore(str(tmp_path / "source"), spec=SPEC, settings=SETTINGS)
    target = LibraryStore(str(tmp_path / "target"), spec=SPEC, settings=SETTINGS)
    source.register([entry("a")])
    register = target.register

    def overtaken(entries: list[object]) -> object:
        made = register(entries)  # type: ignore[arg-type]
        source.delete("a")
        source.register([entry("a", sha256="other bytes", seed=2)])
        return made

    monkeypatch.setattr(target, "register", overtaken)
    fill(target, source, [entry("a")])
    assert target.list().items == ()


@pytest.mark.parametrize("scheme", ["file://", ""], ids=["object store", "folder"])
def test_two_that_fill_a_space_at_the_same_time_leave_its_frames_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr(tables, "SETTLED_S", 0.0)

    def opened(name: str) -> LibraryStore:
        return LibraryStore(f"{scheme}{tmp_path / name}", spec=SPEC, settings=SETTINGS)

    source, store, rival = opened("source"), opened("target"), opened("target")
    archive = [entry("a"), entry("b", seed=1)]
    source.register(archive)
    if scheme:
        during_the_merge(monkeypatch, lambda: fill(rival, source, archive))
    else:  # interrupted between its two commits
        with monkeypatch.context() as patched:
            patched.setattr(writing, "references_table", Mock(side_effect=OSError("full")))
            with pytest.raises(StoreUnavailable):
                fill(rival, source, archive)
    fill(store, source, archive)
    assert [frames_of(store, one) for one in store.list().items] == [FRAMES] * 2
    assert store.list() == source.list()
