"""Claims about the picture of a library that jobs are given."""

from __future__ import annotations

from dubl.index.keys import read_ids, read_keys
from dubl.index.store import LibraryStore
from tests.unit.index.videos import entry


def test_every_key_is_known_and_no_other(store: LibraryStore) -> None:
    # Enough that some digests begin or end with zeros.
    count = 2000
    store.register([entry(f"дубль {number}", library=f"{number % 2}") for number in range(count)])
    known = read_keys(store.tables)
    for number in range(count):
        identity, library = f"дубль {number}", f"{number % 2}"
        assert known.has_id(identity)
        assert known.has_place(identity, f"{identity}.mp4")
        assert known.has_content(library, f"sum of {identity}")
        assert not known.has_id(f"other {number}")
        assert not known.has_place(identity, "elsewhere.mp4")
        assert not known.has_content(f"{1 - number % 2}", f"sum of {identity}")
    assert sorted(read_ids(store.tables, library="1")) == sorted(
        f"дубль {number}" for number in range(1, count, 2)
    )


def test_an_empty_library_knows_nothing(store: LibraryStore) -> None:
    known = read_keys(store.tables)
    assert not known.has_id("")
    assert not known.has_content("", "")
