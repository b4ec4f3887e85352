"""A ledger goes from one engine to another: a DuckDB file to PostgreSQL, or back."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dubl.errors import InvalidRequest, StoreUnavailable, needs_extra
from dubl.ledger.ledger import Ledger
from dubl.settings import POSTGRESQL, LedgerSettings

if TYPE_CHECKING:
    from dubl.ledger.postgres import Postgres


def copy_ledger(source: str, target: str, settings: LedgerSettings) -> None:
    """Copies all tables, at one moment. The source keeps its rows; an older version is upgraded.

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


def require_free(target: Path | str, settings: LedgerSettings) -> None:
    """Raises InvalidRequest if there is a ledger already: a file, or a row in a database."""
    if str(target).startswith(POSTGRESQL):
        with closing(_server(str(target), settings)) as server:
            server.require_empty()
    elif Path(target).exists():
        raise InvalidRequest(f"{target} already exists. Name an empty place.")


def _server(url: str, settings: LedgerSettings) -> Postgres:
    with needs_extra():
        from dubl.ledger.postgres import Postgres
    return Postgres(url, settings)


def put_ledger(file: Path, target: Path | str, settings: LedgerSettings) -> None:
    """Makes a DuckDB file the ledger at `target`, all or nothing; the file is used up.

    Raises InvalidRequest if there is one already, StoreUnavailable.
    """
    if str(target).startswith(POSTGRESQL):
        with closing(_server(str(target), settings)) as server:
            server.fill_from(file)
        file.unlink()
        return
    require_free(target, settings)
    place = Path(target)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f"{place.name}.part")
        shutil.move(file, partial)
        partial.replace(place)
    except OSError as exc:
        raise StoreUnavailable(f"the ledger cannot be put at {place}: {exc}") from exc
