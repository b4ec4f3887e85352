"""Claims about what is asked for before a service starts on one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubl.errors import ConfigurationError
from dubl.settings import Settings, load_settings
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


def test_rays_token_is_for_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    keep_token_private()
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o644)
    keep_token_private()
    assert token.stat().st_mode & 0o777 == 0o600
