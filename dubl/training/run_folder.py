"""Files that every training run keeps in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from dubl.errors import ConfigurationError

CHECKPOINT = "last.pt"
RESULTS = "validation.json"


def write_results(folder: Path, results: Mapping[str, object]) -> None:
    """Writes figures by step, atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{RESULTS}.partial"
    partial.write_text(json.dumps(results, indent=1), encoding="utf-8")
    partial.replace(folder / RESULTS)


def read_results(folder: Path) -> dict[str, object]:
    """Figures by step. Raises ConfigurationError when they cannot be read."""
    try:
        results: dict[str, object] = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ConfigurationError(
            f"{folder / RESULTS} is not that of a run: begin anew in another folder"
        ) from exc
    return results


def require_fresh(folder: Path) -> None:
    """Raises ConfigurationError if the folder already has a run, so that it is not overwritten."""
    if (folder / CHECKPOINT).is_file():
        raise ConfigurationError(
            f"{folder} holds a run already: go on with --resume, or choose another folder"
        )
