"""Settings by the path that serve_config.yaml names."""

from __future__ import annotations

from pathlib import Path

from dubl.settings import Settings, load_settings

PROJECT = Path(__file__).resolve().parent.parent


def settings_from(config: str) -> Settings:
    """From the current folder or from the project's, and the environment."""
    path = Path(config)
    return load_settings(path if path.exists() else PROJECT / path)
