"""Claims about registering, reading, changing and removing references."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dubl.contract.orders import ReferenceChange
from dubl.contract.rights import parse_rights
from dubl.errors import (
    FeatureSpaceMismatch,
    InvalidRequest,
    ReferenceNotFound,
    StoreTooNew,
    StoreUnavailable,
)
from dubl.index import schema, tables, writing
from dubl.index import store as index_store
from dubl.index.store import Failure, LibraryStore
from dubl.rights.terms import UNRESTRICTED
from dubl.types import ReferenceDraft
from tests.unit.index.videos import (
    SETTINGS,
    SPEC,
    OpenStore,
    entry,
    features_of,
    random_vectors,
)

AWKWARD_IDS = [
    "it's",
    "дубль/клип",
    "影片 1",
    '"quoted"',
    "a%_\\b",
    "'; DROP TABLE frames; --",
    "🎬",
]


def frame_count(store: LibraryStore, where: str | None = None) -> int:
    return int(store.tables.frames.count_rows(where))


def test_same_bytes_in_one_library_are_one_reference(store: LibraryStore) -> None:
    (first,) = store.register([entry("a", sha256="same")])
    (second,) = store.register([entry("b", sha256="same")])
    assert first.created
    assert not second.created
    assert second.reference == first.reference
    assert frame_count(store) == 20


def test_a_reference_remembers_that_its_file_was_damaged(store: LibraryStore) -> None:
    damaged = replace(features_of(random_vectors(1)), damaged=True)
    store.register([entry("whole"), entry("cut", features=damaged)])
    assert [store.get(name).damaged for name in ("whole", "cut")] == [False, True]


def test_same_bytes_in_two_libraries_are_two_references(store: LibraryStore) -> None:
    made = store.register(
        [entry("a", sha256="same"), entry("b", sha256="same", library="elsewhere")]
    )
    assert [registration.created for registration in made] == [True, True]
    assert store.libraries() == {"elsewhere": 1, "main": 1}


def test_an_id_registered_again_keeps_what_was_there(store: LibraryStore) -> None:
    (first,) = store.register([entry("a", seed=1)])
    (second,) = store.register([entry("a", seed=2, sha256="other bytes", library="elsewhere")])
    assert not second.created
    assert second.reference == first.reference


def test_repeats_within_one_batch_are_one_reference(store: LibraryStore) -> None:
    made = store.register(
        [entry("a"), entry("a", seed=1), entry("b", sha256="sum of a"), entry("c")]
    )
    assert [registration.created for registration in made] == [True, False, False, True]
    assert [registration.reference.id for registration in made] == ["a", "a", "a", "c"]
    assert frame_count(store) == 40


def test_a_batch_takes_one_commit_a_table(store: LibraryStore) -> None:
    before = store.tables.references.version, store.tables.frames.version
    store.register([entry(f"video {number}") for number in range(30)])
    after = store.tables.references.version, store.tables.frames.version
    assert after == (before[0] + 1, before[1] + 1)


def test_registering_nothing_writes_nothing(store: LibraryStore) -> None:
    version = store.version
    assert store.register([]) == []
    assert store.version == version


def test_features_come_back_as_they_were(store: LibraryStore) -> None:
    given = entry("a", features=features_of(random_vectors(3), np.arange(20) / 3))
    store.register([given])
    features = store.read_features(["a", "never registered"])
    assert list(features) == ["a"]
    found = features["a"]
    np.testing.assert_array_equal(found.descriptors, given.features.descriptors)
    np.testing.assert_array_equal(found.region_features, given.features.region_features)
    np.testing.assert_array_equal(found.timestamps_s, given.features.timestamps_s)
    np.testing.assert_array_equal(found.views, given.features.views)
    assert found.duration_s == given.features.duration_s
    assert found.spec == SPEC


@pytest.mark.parametrize("reference_id", AWKWARD_IDS)
def test_names_in_any_script_and_with_quotes(store: LibraryStore, reference_id: str) -> None:
    draft = ReferenceDraft(
        id=reference_id,
        title=f"О чём {reference_id}",
        owner=reference_id,
        metadata={"ключ": reference_id, "n": 1, "none": None},
    )
    (made,) = store.register([entry(reference_id, library=reference_id, draft=draft)])
    store.register([entry("another")])
    assert store.get(reference_id) == made.reference
    assert dict(made.reference.metadata) == dict(draft.metadata)
    assert list(store.read_features([reference_id])) == [reference_id]
    for page in (
        store.list(library=reference_id),
        store.list(owner=reference_id),
        store.list(q=reference_id.upper()),
    ):
        assert [reference.id for reference in page.items] == [reference_id]
    store.delete(reference_id)
    assert [reference.id for reference in store.list().items] == ["another"]


def test_a_registration_cut_off_between_the_tables_is_invisible_and_leaves_nothing_twice(
    store: LibraryStore, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise OSError("the machine went away")

    with monkeypatch.context() as patched:
        patched.setattr(writing, "references_table", die)
        with pytest.raises(StoreUnavailable, match="went away"):
            store.register([entry("it's a")])
    restarted = open_store()
    assert restarted.list().items == ()
    assert restarted.read_features(["it's a"]) == {}
    (made,) = restarted.register([entry("it's a")])
    assert made.created
    assert frame_count(restarted) == 20


def test_orphan_frames_are_removed_and_only_those(store: LibraryStore) -> None:
    store.register([entry("lost"), entry("kept")])
    store.tables.references.delete("id = 'lost'")
    assert store.delete_orphan_frames() == 20
    assert frame_count(store) == 20
    assert store.delete_orphan_frames() == 0


def test_the_first_of_two_writers_of_an_object_store_wins_and_its_frames_stay_single(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rival = open_store(scheme="file://"), open_store(scheme="file://")
    write = writing.references_table

    def overtaken(*arguments: object) -> object:
        monkeypatch.setattr(writing, "references_table", write)
        rival.register([entry("a", seed=1)])
        return write(*arguments)

    monkeypatch.setattr(writing, "references_table", overtaken)
    late_a, late_b = store.register([entry("a", seed=2), entry("b", seed=3)])
    assert not late_a.created
    assert late_b.created
    assert late_a.reference == rival.get("a")
    assert frame_count(store) == 40
    np.testing.assert_array_equal(
        store.read_features(["a"])["a"].descriptors, entry("a", seed=1).features.descriptors
    )


def test_writers_that_meet_in_an_object_store_leave_the_frames_of_the_first_alone(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = [open_store(scheme="file://") for _ in range(3)]
    all_have_written_frames, all_have_merged = threading.Barrier(3), threading.Barrier(3)
    write, existing = writing.references_table, writing.existing

    def together(*arguments: object) -> object:
        all_have_written_frames.wait(30)
        return write(*arguments)

    def merged(*arguments: object, **named: object) -> object:
        all_have_merged.wait(30)
        return existing(*arguments, **named)

    monkeypatch.setattr(writing, "references_table", together)
    monkeypatch.setattr(writing, "existing", merged)
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda one: one.register([entry("a")])[0], stores))
    assert [one.created for one in made].count(True) == 1
    assert len({one.reference.created_at for one in made}) == 1
    there = open_store(scheme="file://")
    assert frame_count(there) == 20
    assert frame_count(there, f"created_at = '{there.get('a').created_at}'") == 20


def test_frames_that_others_may_be_writing_are_orphans_only_when_they_stay(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(scheme="file://")
    store.register([entry("dead"), entry("kept"), entry("written slowly")])
    reference = store.tables.references.search().where("id = 'written slowly'").to_arrow()
    store.tables.references.delete("id <> 'kept'")
    assert (store.delete_orphan_frames(), store.has_orphans) == (0, True)
    store.tables.references.add(reference)
    monkeypatch.setattr(index_store, "ORPHAN_AGE_S", 0.0)
    assert (store.delete_orphan_frames(), store.has_orphans) == (20, False)
    assert frame_count(store, "reference_id = 'dead'") == 0


def test_frames_of_a_cut_off_registration_of_an_id_that_is_there_are_orphans(
    store: LibraryStore,
) -> None:
    store.register([entry("a"), entry("b", seed=2)])
    store.tables.frames.update(where="reference_id = 'b'", values={"reference_id": "a"})
    store.tables.references.delete("id = 'b'")
    assert store.delete_orphan_frames() == 20
    assert frame_count(store, f"created_at = '{store.get('a').created_at}'") == 20


def test_threads_that_register_the_same_video_make_one(store: LibraryStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: store.register([entry("a")])[0], range(4)))
    assert sum(registration.created for registration in made) == 1
    assert frame_count(store) == 20


def test_another_handle_sees_a_registration_and_a_deletion(
    store: LibraryStore, open_store: OpenStore
) -> None:
    reader = open_store(read_only=True)
    assert reader.list().items == ()
    store.register([entry("a")])
    assert reader.get("a").id == "a"
    assert reader.version == store.version
    store.delete("a")
    assert reader.list().items == ()


def test_the_version_grows_with_each_write_and_only_then(store: LibraryStore) -> None:
    versions = [store.version]
    store.register([entry("a")])
    versions.append(store.version)
    store.update("a", ReferenceChange(title="other"))
    versions.append(store.version)
    store.list()
    assert store.version == versions[-1]
    store.delete("a")
    versions.append(store.version)
    assert versions == sorted(set(versions))


def test_updates_change_what_is_given_and_nothing_else(store: LibraryStore) -> None:
    (made,) = store.register([entry("it's")])
    changed = store.update("it's", ReferenceChange(title="O'Neill", metadata={"ключ": 2}))
    assert changed == replace(made.reference, title="O'Neill", metadata={"ключ": 2})
    assert store.update("it's", ReferenceChange()) == changed
    assert list(store.read_features(["it's"])) == ["it's"]


def test_what_is_absent_is_said_to_be(store: LibraryStore) -> None:
    for attempt in (store.get, store.delete, lambda one: store.update(one, ReferenceChange())):
        with pytest.raises(ReferenceNotFound):
            attempt("absent")


def test_what_is_there_is_found_by_id_and_by_bytes(store: LibraryStore) -> None:
    store.register([entry("a"), entry("b", library="other")])
    assert store.present_ids(["a", "c", "b"]) == {"a", "b"}
    found = store.find(ReferenceDraft(id="new"), "sum of a")
    assert found is not None
    assert (found.reference.id, found.created) == ("a", False)
    assert store.find(ReferenceDraft(id="new"), "sum of b") is None


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_pages_walk_all_rows_exactly_once_newest_first(store: LibraryStore, limit: int) -> None:
    store.register([entry(f"{number}") for number in range(7)])
    store.register([entry("other", library="other")])
    walked: list[str] = []
    cursor = ""
    while True:
        page = store.list(library="main", limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        walked += [reference.id for reference in page.items]
        cursor = page.next_cursor
        if not cursor:
            break
    assert walked == ["6", "5", "4", "3", "2", "1", "0"]


def test_an_invented_cursor_is_refused(store: LibraryStore) -> None:
    for cursor in ("zzz", "é", "WzFd", "'"):
        with pytest.raises(InvalidRequest, match="cursor"):
            store.list(cursor=cursor)


def test_a_store_of_another_model_is_refused_by_the_names_of_what_differs(
    store: LibraryStore, open_store: OpenStore
) -> None:
    other = replace(SPEC, weights_sha256="1" * 64, regions=9)
    with pytest.raises(FeatureSpaceMismatch, match=r"weights_sha256 .* regions is 2 there and 9"):
        open_store(spec=other)
    foreign = replace(features_of(random_vectors(0)), spec=replace(SPEC, model_id="other"))
    with pytest.raises(FeatureSpaceMismatch, match="other"):
        store.register([entry("a", features=foreign)])


def test_a_reader_refuses_to_write(open_store: OpenStore) -> None:
    reader = open_store(read_only=True)
    with pytest.raises(StoreUnavailable, match="reading only"):
        reader.register([entry("a")])


def test_a_place_that_cannot_hold_tables_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreUnavailable):
        LibraryStore(str(tmp_path / "file"), spec=SPEC, settings=SETTINGS)


def test_a_library_of_a_later_program_is_not_opened(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        later.setattr(schema, "SCHEMA_VERSION", 2)
        open_store().register([entry("a")])
    with pytest.raises(StoreTooNew, match="schema version 2; this program supports 1"):
        open_store()


def test_a_library_from_before_there_were_versions_goes_on(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        with_version = schema._metadata
        before.setattr(
            schema,
            "_metadata",
            lambda spec: {schema.SPEC_KEY: with_version(spec)[schema.SPEC_KEY]},
        )
        open_store().register([entry("old")])
    store = open_store()
    store.register([entry("new", seed=2)])
    store.optimize(full=True)
    assert {one.id for one in open_store().list().items} == {"old", "new"}
    assert frame_count(store) == 40


def test_optimizing_keeps_every_answer(store: LibraryStore, open_store: OpenStore) -> None:
    for number in range(5):
        store.register([entry(f"{number}", seed=number)])
    store.delete("3")
    reader = open_store(read_only=True)
    before = reader.list().items
    store.optimize(full=True)
    assert reader.list().items == before
    assert set(reader.read_features(["0", "3", "4"])) == {"0", "4"}
    assert store.register([entry("0")])[0].created is False


def test_where_as_many_references_go_as_come_files_and_versions_stay_few(
    open_store: OpenStore,
) -> None:
    store = open_store(settings=SETTINGS.model_copy(update={"keep_versions_s": 0.01}))
    table = Path(store.uri) / "references.lance"
    store.register([entry("stays", seed=1000)])
    for number in range(40):
        store.register([entry(f"{number}", seed=number)])
        store.delete(f"{number}")
    assert len(list((table / "_versions").iterdir())) > 80
    store.optimize()
    assert len(list((table / "_versions").iterdir())) < 5
    assert len(list((table / "data").iterdir())) < 5
    assert [reference.id for reference in store.list().items] == ["stays"]


def test_failures_of_a_batch_job_are_rows(store: LibraryStore, open_store: OpenStore) -> None:
    store.record_failures([])
    store.record_failures([Failure(path="/it's/видео.mp4", code="empty_file", detail="no bytes")])
    (failure,) = open_store().failures()
    assert (failure.path, failure.code) == ("/it's/видео.mp4", "empty_file")
    assert failure.created_at


RIGHTS = parse_rights(
    {
        "action": "track",
        "license_windows": [{"from": "2026-01-01", "territories": ["de"]}],
        "excluded_segments": [{"start_s": 0, "end_s": 4.5, "label": "заставка"}],
    }
)


def test_rights_are_registered_changed_and_taken_back(store: LibraryStore) -> None:
    store.register([entry("a", draft=ReferenceDraft(id="a", rights=RIGHTS)), entry("b")])
    assert store.get("a").rights == RIGHTS
    assert store.read_rights(["a", "b", "never registered"]) == {"a": RIGHTS, "b": UNRESTRICTED}
    store.update("b", ReferenceChange(rights=RIGHTS))
    free = store.update("a", ReferenceChange(rights=UNRESTRICTED))
    assert free.rights == UNRESTRICTED
    assert store.read_rights(["a", "b"]) == {"a": UNRESTRICTED, "b": RIGHTS}
    assert store.get("a").title == ""


def test_a_library_from_before_there_were_rights_gets_their_columns(open_store: OpenStore) -> None:
    store = open_store()
    store.register([entry("old")])
    store.tables.references.drop_columns(["rights_action", "min_copied_s"])
    later = open_store()
    assert later.get("old").rights == UNRESTRICTED
    later.register([entry("new", seed=2, draft=ReferenceDraft(id="new", rights=RIGHTS))])
    changed = later.update("old", ReferenceChange(rights=RIGHTS))
    assert changed.rights == later.get("new").rights == RIGHTS


def test_a_new_library_in_an_object_store_is_written_to_when_nobody_replaces_it_any_more(
    store: LibraryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(tables.time, "sleep", waited.append)
    monkeypatch.setattr(tables, "SETTLED_S", 3600.0)
    tables._settle(store.tables)
    assert len(waited) == 1
    assert 0 < waited[0] <= 3600.0
    monkeypatch.setattr(tables, "SETTLED_S", 0.0)  # it is older than that
    tables._settle(store.tables)
    monkeypatch.setattr(tables, "SETTLED_S", 3600.0)
    for number in range(tables.MAX_MAKERS):
        store.register([entry(f"r{number}", seed=number)])
    tables._settle(store.tables)
    assert len(waited) == 1
