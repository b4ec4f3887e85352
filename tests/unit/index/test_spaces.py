"""Claims about one library in two feature spaces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dubl.contract.orders import ReferenceChange
from dubl.errors import FeatureSpaceMismatch, ReferenceNotFound, StoreUnavailable
from dubl.index.spaces import Holding, SpacedLibrary, fill, library_uri
from dubl.index.store import Entry, LibraryStore
from dubl.rights.terms import Action, Rights
from tests.unit.index.videos import SETTINGS, SPEC, entry

NEWER = replace(SPEC, weights_sha256="1" * 64)


@pytest.fixture
def first(tmp_path: Path) -> LibraryStore:
    return LibraryStore(str(tmp_path / "library"), spec=SPEC, settings=SETTINGS)


@pytest.fixture
def second(first: LibraryStore) -> LibraryStore:
    uri = library_uri(first.uri, NEWER, beside=True)
    return LibraryStore(uri, spec=NEWER, settings=SETTINGS)


@pytest.fixture
def library(first: LibraryStore, second: LibraryStore) -> SpacedLibrary:
    return SpacedLibrary([first, second])


def in_second(made: Entry) -> Entry:
    """The same video, described by the newer model."""
    return replace(made, features=replace(made.features, spec=NEWER))


def both(name: str, **facts: str) -> list[Entry]:
    made = entry(name, **facts)
    return [in_second(made), made]


def test_a_library_begins_at_its_address_and_a_candidate_beneath_it(tmp_path: Path) -> None:
    uri = str(tmp_path / "library")
    assert library_uri(uri, SPEC, beside=False) == uri
    beneath = f"{uri}/spaces/{NEWER.space_id}"
    assert library_uri(uri, NEWER, beside=True) == beneath
    LibraryStore(uri, spec=SPEC, settings=SETTINGS)
    assert library_uri(uri, SPEC, beside=True) == uri
    # Nobody else makes one there.
    assert library_uri(uri, NEWER, beside=False) == uri
    with pytest.raises(FeatureSpaceMismatch):
        LibraryStore(uri, spec=NEWER, settings=SETTINGS)
    LibraryStore(beneath, spec=NEWER, settings=SETTINGS)
    assert library_uri(uri, NEWER, beside=False) == beneath


def test_a_space_is_found_when_the_one_before_it_was_dropped(
    first: LibraryStore, second: LibraryStore
) -> None:
    for table in Path(first.uri).glob("*.lance"):
        table.rename(table.with_suffix(".gone"))
    assert library_uri(first.uri, NEWER, beside=False) == second.uri


def test_looking_for_a_space_makes_nothing(tmp_path: Path) -> None:
    library_uri(str(tmp_path / "library"), SPEC, beside=False)
    assert not list(tmp_path.iterdir())


def test_both_spaces_hold_a_new_reference_as_of_one_time(library: SpacedLibrary) -> None:
    (answer,) = library.register([both("a")])
    assert answer.created
    for store in library.stores.values():
        assert store.get("a") == answer.reference
        assert store.read_features(["a"])["a"].spec == store.spec


def test_a_registration_that_was_cut_off_is_completed_when_it_is_done_again(
    library: SpacedLibrary, first: LibraryStore, second: LibraryStore
) -> None:
    made = entry("a")
    first.register([made])
    assert library.find(made.draft, made.source.sha256) is None
    (again,) = library.register([both("a")])
    assert not again.created
    assert second.get("a") == first.get("a")
    assert library.find(made.draft, made.source.sha256) == again


def test_other_bytes_under_the_same_id_describe_no_reference(
    library: SpacedLibrary, first: LibraryStore, second: LibraryStore
) -> None:
    first.register([entry("a", sha256="5" * 64)])
    other = entry("a", sha256="6" * 64)
    library.register([[in_second(other), other]])
    fill(second, first, [in_second(other)])
    assert second.libraries() == {}


def test_bytes_that_are_there_under_another_id_are_completed_under_that(
    library: SpacedLibrary, first: LibraryStore, second: LibraryStore
) -> None:
    first.register([entry("a", sha256="5" * 64)])
    library.register([both("b", sha256="5" * 64)])
    assert second.present_ids(["a", "b"]) == {"a"}


def test_a_video_may_come_without_features_of_the_other_space_only(
    library: SpacedLibrary, second: LibraryStore
) -> None:
    library.register([[entry("a")]])
    assert library.holdings() == {
        SPEC.space_id: Holding(references=1, missing=0),
        NEWER.space_id: Holding(references=0, missing=1),
    }
    with pytest.raises(FeatureSpaceMismatch):
        library.register([[in_second(entry("b"))]])
    assert second.libraries() == {}


def test_changes_and_deletions_reach_both_spaces(
    library: SpacedLibrary, first: LibraryStore, second: LibraryStore
) -> None:
    library.register([both("a"), both("b")])
    rights = Rights(action=Action.TRACK)
    changed = library.update("a", ReferenceChange(title="new", rights=rights))
    assert (changed.title, changed.rights) == ("new", rights)
    assert second.get("a") == first.get("a") == changed
    library.delete("b")
    assert second.libraries() == first.libraries() == {"main": 1}


def test_a_deletion_that_was_cut_off_is_completed_when_it_is_done_again(
    library: SpacedLibrary, first: LibraryStore, second: LibraryStore
) -> None:
    library.register([both("a")])
    first.delete("a")
    library.delete("a")
    assert second.libraries() == {}
    with pytest.raises(ReferenceNotFound):
        library.delete("a")
    with pytest.raises(ReferenceNotFound):
        library.update("a", ReferenceChange(title="new"))


def test_a_deletion_that_fails_can_be_done_again(
    library: SpacedLibrary,
    first: LibraryStore,
    second: LibraryStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(_: str) -> None:
        raise StoreUnavailable("away")

    library.register([both("a")])
    with monkeypatch.context() as patched:
        patched.setattr(second, "delete", away)
        with pytest.raises(StoreUnavailable):
            library.delete("a")
    assert first.libraries() == {"main": 1}
    library.delete("a")
    assert first.libraries() == second.libraries() == {}


def test_a_change_of_what_the_other_space_lacks_is_a_change(library: SpacedLibrary) -> None:
    library.register([[entry("a")]])
    assert library.update("a", ReferenceChange(title="new")).title == "new"


def test_what_is_missing_is_told_with_its_facts(
    library: SpacedLibrary, first: LibraryStore
) -> None:
    first.register([entry(name) for name in "cab"])
    missing = library.missing(NEWER.space_id, after_id="", limit=2)
    assert missing == [first.get("a"), first.get("b")]
    assert library.missing(NEWER.space_id, after_id="b", limit=2) == [first.get("c")]
    assert library.missing(SPEC.space_id, after_id="", limit=2) == []


def test_filling_takes_the_facts_of_what_is_registered_and_leaves_out_the_rest(
    first: LibraryStore, second: LibraryStore
) -> None:
    first.register([entry("a"), entry("b", sha256="5" * 64)])
    first.update("a", ReferenceChange(title="changed since", rights=Rights(action=Action.TRACK)))
    archive = [entry("a"), entry("elsewhere", sha256="5" * 64), entry("deleted")]
    answers = fill(second, first, [in_second(one) for one in archive])
    assert [one.created for one in answers] == [True, True]
    assert second.list() == first.list()
    again = fill(second, first, [in_second(one) for one in archive])
    assert [one.created for one in again] == [False, False]


class Meddled(LibraryStore):
    """Changes its neighbor just before it is written to, as a service may."""

    meddle = staticmethod(lambda: None)

    def register(self, entries: list[Entry]) -> list[object]:  # type: ignore[override]
        self.meddle()
        return super().register(entries)


def test_what_changes_while_a_space_is_filled_is_changed_there_too(
    first: LibraryStore, second: LibraryStore
) -> None:
    first.register([entry("a"), entry("b")])
    target = Meddled(second.uri, spec=NEWER, settings=SETTINGS)

    def service() -> None:
        library = SpacedLibrary([first, second])
        library.update("a", ReferenceChange(title="new", rights=Rights(action=Action.TRACK)))
        library.delete("b")

    target.meddle = service  # type: ignore[method-assign]
    fill(target, first, [in_second(entry("a")), in_second(entry("b"))])
    assert target.list() == first.list()
    assert target.get("a").title == "new"


def test_a_space_that_cannot_be_written_fails_the_registration(
    first: LibraryStore, second: LibraryStore
) -> None:
    closed = LibraryStore(second.uri, spec=NEWER, settings=SETTINGS, read_only=True)
    with pytest.raises(StoreUnavailable):
        SpacedLibrary([first, closed]).register([both("a")])
