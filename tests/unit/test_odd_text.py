"""Stores take whatever text a client may send."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dubl.assembly import make_ledger, make_store
from dubl.errors import InputError, NotFound
from dubl.index.store import LibraryStore
from dubl.ledger.ledger import Ledger
from dubl.settings import load_settings
from tests.support.stored_videos import random_entry

TEXT = st.text(max_size=60) | st.sampled_from(["'", "\\", "%_", "\x00", "'; --", '"', "\ufffe"])
EXAMPLES = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LibraryStore:
    configured = load_settings(
        overrides=[f"data_dir={tmp_path_factory.mktemp('odd')}"], environment={}
    )
    opened = make_store(configured)
    opened.register([random_entry(configured, "one", seed=1)])
    return opened


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    configured = load_settings(
        overrides=[f"data_dir={tmp_path_factory.mktemp('odd')}"], environment={}
    )
    with closing(make_ledger(configured)) as opened:
        yield opened


@EXAMPLES
@given(text=TEXT)
def test_the_library_is_asked_for_any_text(store: LibraryStore, text: str) -> None:
    for wanted in ({"library": text}, {"owner": text}, {"q": text}, {"cursor": text}):
        try:
            store.list(**wanted)
        except InputError:
            continue
    for call in (store.get, store.delete):
        with pytest.raises(NotFound):
            call(f"x{text}")


@EXAMPLES
@given(text=TEXT)
def test_the_ledger_is_asked_for_any_text(ledger: Ledger, text: str) -> None:
    for call in (ledger.get_check, ledger.keys.revoke):
        with pytest.raises(NotFound):
            call(f"x{text}")
    try:
        ledger.list_checks(reference_id=text, cursor=text)
    except InputError:
        return
