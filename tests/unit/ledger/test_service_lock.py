"""One service for a data folder."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from dubl.errors import StoreHeld
from dubl.ledger.service_lock import NAME, held_folder, service_address


def test_a_second_service_is_told_where_the_first_is(tmp_path: Path) -> None:
    with held_folder(tmp_path, "127.0.0.1:8000"):
        assert service_address(tmp_path) == "127.0.0.1:8000"
        with pytest.raises(StoreHeld, match=r"127\.0\.0\.1:8000"), held_folder(tmp_path, "other"):
            pass
    assert service_address(tmp_path) == ""


def test_who_asks_for_the_address_keeps_no_service_from_starting(tmp_path: Path) -> None:
    with (tmp_path / NAME).open("w") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        release = threading.Timer(0.02, fcntl.flock, (asking, fcntl.LOCK_UN))
        release.start()
        with held_folder(tmp_path, "127.0.0.1:8000"):
            assert service_address(tmp_path) == "127.0.0.1:8000"
        release.join()
