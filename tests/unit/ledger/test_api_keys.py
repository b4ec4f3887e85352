"""Keys in the ledger."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from dubl.errors import ConfigurationError, KeyNotFound, Unauthorized
from dubl.ledger.api_keys import make_key, recognize, root_key
from dubl.ledger.ledger import Ledger
from dubl.types import Scope


def test_keys_survive_a_restart_and_their_secrets_are_not_stored(place: str) -> None:
    new = make_key(
        "Кинотеатр",
        scopes=[Scope.CHECK, Scope.REVIEW],
        libraries=["films"],
        requests_per_minute=7,
        jobs_per_day=9,
    )
    with closing(Ledger(place)) as ledger:
        ledger.keys.add(new.key)
    with closing(Ledger(place)) as ledger:
        assert ledger.keys.list() == (new.key,)
        assert recognize(new.token, ledger.keys.list()) == new.key
        stored = str(ledger._database.rows("SELECT * FROM api_keys"))
    secret = new.token.split("_", 2)[2]
    assert new.key.id in stored
    assert secret not in stored
    files = Path(place).parent.iterdir() if place.endswith(".duckdb") else ()
    assert all(secret.encode() not in file.read_bytes() for file in files)


def test_a_key_is_revoked_once_and_for_all(place: str) -> None:
    with closing(Ledger(place)) as ledger:
        key = make_key("a", scopes=[Scope.ADMIN]).key
        ledger.keys.add(key)
        revoked = ledger.keys.revoke(key.id)
        assert revoked.revoked_at
        assert ledger.keys.revoke(key.id) == revoked
        with pytest.raises(KeyNotFound):
            ledger.keys.revoke("none")


def test_jobs_are_counted_by_key_and_day(place: str) -> None:
    with closing(Ledger(place)) as ledger:
        assert [ledger.keys.count_job("a", "2026-01-01") for _ in range(3)] == [1, 2, 3]
        assert ledger.keys.count_job("b", "2026-01-01") == 1
    with closing(Ledger(place)) as ledger:
        assert ledger.keys.count_job("a", "2026-01-01") == 4
        assert ledger.keys.count_job("a", "2026-01-02") == 1


def test_a_root_key_is_an_administrators_and_too_short_a_one_is_refused() -> None:
    token = "dubl_root_" + "x" * 32
    assert recognize(token, [root_key(token)]).scopes == (Scope.ADMIN,)
    with pytest.raises(Unauthorized):
        recognize("dubl_root_" + "y" * 32, [root_key(token)])
    for wrong in ("dubl_root_short", "x" * 64):
        with pytest.raises(ConfigurationError):
            root_key(wrong)
