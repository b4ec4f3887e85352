"""Back-up and restore: library, ledger and unfinished uploads in one folder, with checksums.

The ledger is copied before the library, so every reference in the ledger is in the library.
backup.json is written last: a folder without it is not a back-up.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from dubl.assembly import feature_spec, make_spool, make_store
from dubl.errors import InvalidRequest, StoreUnavailable
from dubl.ledger.ledger import Ledger
from dubl.ledger.moving import put_ledger, require_free
from dubl.settings import Settings

logger = logging.getLogger(__name__)

FORMAT = 1
MANIFEST = "backup.json"
LEDGER_FILE = "ledger.duckdb"
REFERENCES_FILE = "references.parquet"
SPOOL_FOLDER = "spool"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFacts:
    """The content of a back-up.

    sha256: of each file, by name. spool_dir: former folder of the uploads. settings: those on which
    the meaning of the content depends.
    """

    format: int
    created_at: str
    model_id: str
    space_id: str
    references: int
    spool_dir: str
    sha256: dict[str, str]
    settings: dict[str, object]


def write_backup(
    folder: Path, settings: Settings, *, copy_ledger: Callable[[Path], None]
) -> BackupFacts:
    """Writes a back-up into an empty or missing folder. The service may run.

    `copy_ledger` writes a consistent copy of the ledger to a path. Raises InvalidRequest,
    StoreUnavailable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InvalidRequest(f"{folder} is not empty")
        copy_ledger(folder / LEDGER_FILE)
        spool = make_spool(settings)
        spool.copy_to(folder / SPOOL_FOLDER)
        store = make_store(settings, read_only=True)
        count = store.export_references(folder / REFERENCES_FILE)
        spec = feature_spec(settings)
        facts = BackupFacts(
            format=FORMAT,
            created_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            model_id=spec.model_id,
            space_id=spec.space_id,
            references=count,
            spool_dir=spool.place,
            sha256=_sums(folder),
            settings=_meaningful(settings),
        )
        partial = folder / f"{MANIFEST}.part"
        partial.write_text(json.dumps(asdict(facts), indent=2, ensure_ascii=False) + "\n")
        partial.replace(folder / MANIFEST)
    except OSError as exc:
        raise StoreUnavailable(f"the back-up cannot be written to {folder}: {exc}") from exc
    return facts


def restore_backup(folder: Path, settings: Settings) -> BackupFacts:
    """Restores a back-up into the settings' data folder, and to their ledger's place. Stop the
    service first.

    The ledger is restored last, so an interrupted restore can be repeated. Raises InvalidRequest
    (not a back-up, a damaged one, or an existing ledger), FeatureSpaceMismatch, StoreUnavailable.
    """
    facts = read_manifest(folder)
    target = settings.ledger_path
    require_free(settings.ledger_place, settings.ledger)
    try:
        if _sums(folder) != facts.sha256:
            raise InvalidRequest(f"files in {folder} differ from {MANIFEST}")
        make_store(settings).import_references(folder / REFERENCES_FILE)
        spool = make_spool(settings)
        spool.take_back(folder / SPOOL_FOLDER)
        partial = target.with_name(f"{target.name}.part")
        partial.unlink(missing_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / LEDGER_FILE, partial)
        with closing(Ledger(partial)) as ledger:
            ledger.move_uploads(facts.spool_dir, spool.place)
        put_ledger(partial, settings.ledger_place, settings.ledger)
    except OSError as exc:
        raise StoreUnavailable(f"{folder} cannot be restored: {exc}") from exc
    return facts


def read_manifest(folder: Path) -> BackupFacts:
    """The manifest of a back-up. Raises InvalidRequest."""
    try:
        facts = BackupFacts(**json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as exc:
        raise InvalidRequest(f"{folder} is not a back-up: {exc}") from exc
    if facts.format != FORMAT:
        raise InvalidRequest(
            f"the back-up has format {facts.format}; this program supports {FORMAT}"
        )
    return facts


def _sums(folder: Path) -> dict[str, str]:
    sums = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            sums[str(path.relative_to(folder))] = digest
    return sums


def _meaningful(settings: Settings) -> dict[str, object]:
    media = settings.media.model_dump(mode="json", include={"reference_rate_hz", "query_rate_hz"})
    return {
        "model": {"weights": settings.model.weights},
        "media": media,
        "policy": settings.policy.model_dump(mode="json"),
    }
