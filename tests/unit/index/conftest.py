"""A library in a temporary folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubl.index import tables
from dubl.index.store import LibraryStore
from dubl.settings import IndexSettings
from dubl.types import FeatureSpec, SoundSpec
from tests.unit.index.videos import SETTINGS, SPEC, OpenStore


@pytest.fixture
def open_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenStore:
    """Opens one and the same library, as another process would.

    No process but the test's creates it, so nobody waits until a new library is settled.
    """
    monkeypatch.setattr(tables, "SETTLED_S", 0.0)

    def opened(
        *,
        spec: FeatureSpec = SPEC,
        settings: IndexSettings = SETTINGS,
        sound: SoundSpec | None = None,
        read_only: bool = False,
        scheme: str = "",
    ) -> LibraryStore:
        uri = f"{scheme}{tmp_path / 'library'}"
        return LibraryStore(uri, spec=spec, sound=sound, settings=settings, read_only=read_only)

    return opened


@pytest.fixture
def store(open_store: OpenStore) -> LibraryStore:
    return open_store()
