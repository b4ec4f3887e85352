"""Claims about what is asked for before a service starts on one machine."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubl.assembly import make_ledger
from dubl.errors import ConfigurationError
from dubl.ledger.service_lock import held_folder, service_address
from dubl.settings import Settings, load_settings
from pipelines.cli.main import app
from pipelines.local_server import free_port
from serve_app.main import _require_admin_key, keep_token_private


def _settings(folder: Path, **environment: str) -> Settings:
    return load_settings(overrides=[f"data_dir={folder}"], environment=environment)


def test_a_root_key_is_enough_and_leaves_a_lost_ledger_to_its_copies(tmp_path: Path) -> None:
    settings = _settings(tmp_path, DUBL__ACCESS__ROOT_KEY="dubl_root_" + "a" * 40)
    _require_admin_key(settings, "0.0.0.0")
    assert not settings.ledger_path.exists()


def test_without_any_key_the_way_to_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="need API keys"):
        _require_admin_key(_settings(tmp_path), "0.0.0.0")
    with pytest.raises(ConfigurationError, match="root_key"):
        _require_admin_key(_settings(tmp_path, DUBL__ACCESS__ROOT_KEY="short"), "0.0.0.0")


def test_a_second_service_on_a_folder_is_told_at_once(tmp_path: Path) -> None:
    start = [sys.executable, "-m", "serve_app.main", "--data", str(tmp_path), "--port"]
    with held_folder(tmp_path, "http://127.0.0.1:8123"):
        assert service_address(tmp_path) == "http://127.0.0.1:8123"
        second = subprocess.run([*start, str(free_port())], capture_output=True, text=True)
        listed = ["references", "list", "--data", str(tmp_path)]
        with closing(make_ledger(_settings(tmp_path))):
            command = [sys.executable, "-c", "from pipelines.cli.main import app; app()"]
            asked = subprocess.run([*command, *listed], capture_output=True, text=True)
    assert second.returncode == 2
    assert second.stderr == f"store_held: a service on http://127.0.0.1:8123 uses {tmp_path}.\n"
    assert asked.returncode == 1
    assert f"a service uses {tmp_path}. Ask it: add --url http://127.0.0.1:8123." in asked.stderr
    assert not service_address(tmp_path)


def test_a_port_that_is_none_is_told_in_words() -> None:
    wrong = CliRunner().invoke(app, ["serve", "--port", "80000"])
    assert wrong.exit_code == 2
    assert "65535" in wrong.stderr


def test_rays_token_is_for_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    keep_token_private()
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o644)
    keep_token_private()
    assert token.stat().st_mode & 0o777 == 0o600
