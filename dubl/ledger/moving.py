"""A ledger goes from one engine to another: a DuckDB file to PostgreSQL, or back."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from dubl.errors import InvalidRequest, StoreUnavailable, needs_extra
from dubl.ledger.ledger import Ledger
from dubl.settings import POSTGRESQL, LedgerSettings


def copy_ledger(source: str, target: str, settings: LedgerSettings) -> None:
    """Copies all tables, at one moment. The source stays as it is.

    Both are paths of DuckDB files, or postgresql:// addresses. Raises InvalidRequest (nothing at
    `source`, something at `target`), StoreHeld, StoreUnavailable.
    """
    if not source.startswith(POSTGRESQL) and not Path(source).is_file():
        raise InvalidRequest(f"there is no ledger at {source}")
    with TemporaryDirectory(prefix="dubl-ledger-") as folder:
        copy = Path(folder) / "ledger.duckdb"
        with closing(Ledger(source, settings=settings)) as ledger:
            ledger.copy_to(copy)
        put_ledger(copy, target, settings)


def put_ledger(file: Path, target: Path | str, settings: LedgerSettings) -> None:
    """Makes a DuckDB file the ledger at `target`, all or nothing; the file is used up.

    Raises InvalidRequest if there is one already, StoreUnavailable.
    """
    if str(target).startswith(POSTGRESQL):
        with needs_extra():
            from dubl.ledger.postgres import Postgres
        with closing(Postgres(str(target), settings)) as server:
            server.fill_from(file)
        file.unlink()
        return
    place = Path(target)
    if place.exists():
        raise InvalidRequest(f"{place} already exists")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f"{place.name}.part")
        shutil.move(file, partial)
        partial.replace(place)
    except OSError as exc:
        raise StoreUnavailable(f"the ledger cannot be put at {place}: {exc}") from exc
