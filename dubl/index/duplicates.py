"""The latest search for duplicates inside a library, as a file beside it that the service shows.

    DATA/duplicates/LIBRARY.json

The job that searches writes it when it ends; a search that is cut off leaves the one before.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from dubl.contract.bodies import DuplicateCluster, Duplicates
from dubl.errors import NotFound, StoreUnavailable

FOLDER = "duplicates"


def write_duplicates(
    data_dir: Path, library: str, clusters: tuple[DuplicateCluster, ...]
) -> Duplicates:
    """Writes the result atomically. Raises StoreUnavailable."""
    made_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    found = Duplicates(library=library, made_at=made_at, clusters=clusters)
    path = _path(data_dir, library)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_text(found.model_dump_json(), encoding="utf-8")
        partial.replace(path)
    except OSError as exc:
        raise StoreUnavailable(f"cannot write {path}: {exc.strerror}") from exc
    return found


def read_duplicates(data_dir: Path, library: str) -> Duplicates:
    """The latest result. Raises NotFound if no search has finished, StoreUnavailable."""
    path = _path(data_dir, library)
    try:
        return Duplicates.model_validate_json(path.read_bytes())
    except FileNotFoundError as exc:
        raise NotFound(
            f"library '{library}' was not searched for duplicates yet. Run the job "
            "pipelines.dedupe_archive."
        ) from exc
    except (OSError, ValidationError) as exc:
        raise StoreUnavailable(f"cannot read {path}: {exc}") from exc


def _path(data_dir: Path, library: str) -> Path:
    return data_dir / FOLDER / f"{library}.json"
