"""Names of libraries: anybody may ask for wrong ones, so each costs little. Excluded segments."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from dubl import errors
from dubl.engine.librarian import Librarian
from dubl.errors import no_library
from dubl.rights.terms import ExcludedSegment, Rights
from dubl.settings import load_settings
from dubl.types import ReferenceDraft, VideoSource
from tests.support.stored_videos import random_features


def test_wrong_names_read_all_references_once_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(environment={}, overrides=[f"data_dir={tmp_path}"])

    async def story() -> None:
        librarian = Librarian(settings)
        store, reads = librarian._store, [0]
        libraries = store.libraries

        def counted() -> dict[str, int]:
            reads[0] += 1
            return libraries()

        monkeypatch.setattr(store, "libraries", counted)
        source = VideoSource(path="", sha256="a", size_bytes=1, name="film")
        draft = ReferenceDraft(id="film", library="films")
        assert await librarian.told_libraries() == frozenset()
        await librarian.register(draft, source, random_features(settings, seed=1))
        assert await librarian.told_libraries() == {"films"}  # before the next upkeep
        for number in range(5):
            assert await librarian.unknown(["films", f"no{number}", "none"]) == f"no{number}"
            assert await librarian.told_libraries() == {"films"}
        assert await librarian.unknown(["films"]) is None
        assert reads[0] <= 1

    asyncio.run(story())


def test_seconds_that_two_exclude_at_once_are_all_excluded_and_once(tmp_path: Path) -> None:
    settings = load_settings(
        environment={}, overrides=[f"data_dir={tmp_path}", "index.consistency_interval_s=0"]
    )
    intro, ad = ExcludedSegment(start_s=0, end_s=9), ExcludedSegment(start_s=20, end_s=30)
    part = ExcludedSegment(start_s=21, end_s=30, label="inside")

    async def story() -> None:
        librarian = Librarian(settings)
        source = VideoSource(path="", sha256="a", size_bytes=1, name="film")
        draft = ReferenceDraft(id="film", library="films", rights=Rights(min_copied_s=3))
        await librarian.register(draft, source, random_features(settings, seed=1))
        await asyncio.gather(*(librarian.exclude("film", [one]) for one in (intro, ad)))
        await librarian.exclude("film", [intro, part])
        rights = (await librarian.get("film")).rights
        assert set(rights.excluded_segments) == {intro, ad}
        assert rights.min_copied_s == 3
        await librarian.close()

    asyncio.run(story())


def test_a_wrong_name_is_compared_with_a_bounded_number_of_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[Sequence[str]] = []

    def counting(_: str, known: Sequence[str], **__: float) -> list[str]:
        compared.append(known)
        return []

    monkeypatch.setattr(errors, "get_close_matches", counting)
    many = [f"library {number:06}" for number in range(100_000)]
    assert "library 000000" in str(no_library("none", many).context["known"])
    assert len(compared[0]) == errors.MAX_COMPARED_NAMES
