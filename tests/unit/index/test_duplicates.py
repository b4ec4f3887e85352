"""The last search for duplicates, as the service finds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubl.contract.bodies import DuplicateCluster, DuplicateMember, DuplicatePair
from dubl.errors import NotFound, StoreUnavailable
from dubl.index.duplicates import read_duplicates, write_duplicates

CLUSTER = DuplicateCluster(
    members=(
        DuplicateMember(id="a", title="Кот", duration_s=9.0),
        DuplicateMember(id="b", title="", duration_s=7.5),
    ),
    pairs=(DuplicatePair(a="a", b="b", probability=0.98),),
)


def test_what_a_search_found_is_read_back_until_the_next_one(tmp_path: Path) -> None:
    written = write_duplicates(tmp_path, "films", (CLUSTER,))
    assert read_duplicates(tmp_path, "films") == written
    assert written.clusters == (CLUSTER,)
    write_duplicates(tmp_path, "films", ())
    assert read_duplicates(tmp_path, "films").clusters == ()


def test_a_library_that_was_never_searched_is_told_from_a_broken_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_duplicates(tmp_path, "films")
    write_duplicates(tmp_path, "films", (CLUSTER,))
    next((tmp_path / "duplicates").iterdir()).write_text("{")
    with pytest.raises(StoreUnavailable):
        read_duplicates(tmp_path, "films")
