"""`dubl report`: a report on past checks, from a service, a data folder or a back-up."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import typer

from dubl.assembly import make_explainer, make_store
from dubl.backup import LEDGER_FILE, MANIFEST, REFERENCES_FILE
from dubl.client.client import Client
from dubl.client.errors import ApiError
from dubl.errors import EvidenceNotKept, StoreUnavailable
from dubl.ledger.ledger import Ledger
from dubl.reporting import HINTS, REFERENCES, Sources, figures_of, report_page, report_tables
from dubl.settings import Settings
from dubl.types import Check, Outcome
from pipelines.cli.options import (
    DATA,
    AsJson,
    Config,
    Data,
    Key,
    Url,
    command_settings,
    connected,
    every,
    opened_ledger,
    printed_errors,
)

PAGE = "report.html"
HINTS_OF = 100
PAGE_SIZE = 500
Hinted = Callable[[Check], list[str]]


class Export(StrEnum):
    PARQUET = "parquet"
    CSV = "csv"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The source of a report: a copy of a ledger, its references, and a function for edit hints."""

    about: str
    ledger: Path
    references: pa.Table
    hinted: Hinted | None


def report(
    out: Annotated[Path, typer.Option(help="folder to write to")] = Path("report"),
    days: Annotated[int, typer.Option(min=0, help="days of history; 0: all")] = 90,
    hints: Annotated[
        int, typer.Option(min=0, help="newest duplicates that are examined for edits")
    ] = HINTS_OF,
    export: Annotated[
        list[Export] | None, typer.Option(help="also export all tables; may be repeated")
    ] = None,
    backup: Annotated[
        Path | None, typer.Option(help="read a back-up instead", exists=True, file_okay=False)
    ] = None,
    url: Url = "",
    data: Data = DATA,
    config: Config = None,
    as_json: AsJson = False,
    key: Key = "",
) -> None:
    """Writes OUT/report.html: duplicates by day, owner and edit, review decisions, errors.

    With a running service (--url), an administrator's key is needed, as a copy of the ledger is
    read.
    """
    with printed_errors(), tempfile.TemporaryDirectory(prefix="dubl-report-") as home:
        with _origin(Path(home), url, key, data, config, backup) as origin:
            found, looked_at = _hints(origin, hints)
            since = _day(days) if days else ""
            tables = report_tables(
                Sources(
                    ledger=origin.ledger, references=origin.references, hints=found, since=since
                )
            )
        figures = figures_of(tables)
        made_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        page = report_page(tables, figures, made_at=made_at, about=origin.about, hints_of=looked_at)
        _write(out, page, tables, export or [])
    if as_json:
        shown = {name: table.to_pylist() for name, table in tables.items()}
        typer.echo(json.dumps({"figures": asdict(figures), **shown}, ensure_ascii=False))
    else:
        typer.echo(f"{figures.checks} checks, {figures.duplicates} duplicates: {out / PAGE}")


@contextmanager
def _origin(
    home: Path, url: str, key: str, data: Path, config: Path | None, backup: Path | None
) -> Iterator[Origin]:
    ledger = home / "ledger.duckdb"
    if url:
        with connected(url, key) as client:
            client.save("/v1/ledger", ledger)
            _bring_up(ledger)
            yield Origin(
                about=url,
                ledger=ledger,
                references=_listed(client),
                hinted=lambda check: _asked_hints(client, check),
            )
        return
    if backup is not None:
        yield _of_backup(backup, ledger)
        return
    settings = command_settings(data, config)
    if isinstance(settings.ledger_place, Path) and not settings.ledger_path.exists():
        raise StoreUnavailable(f"{settings.data_dir} has no ledger")
    with opened_ledger(settings) as opened:
        opened.copy_to(ledger)
    store = make_store(settings, read_only=True)
    wanted = store.tables.references.search().select(REFERENCES.names).to_arrow()
    yield Origin(
        about=str(settings.data_dir),
        ledger=ledger,
        references=wanted.select(REFERENCES.names),
        hinted=_explained(settings),
    )


def _of_backup(folder: Path, ledger: Path) -> Origin:
    if not (folder / MANIFEST).is_file():
        raise StoreUnavailable(f"{folder} is not a back-up")
    shutil.copyfile(folder / LEDGER_FILE, ledger)
    _bring_up(ledger)
    references = pq.read_table(folder / REFERENCES_FILE, columns=REFERENCES.names)
    return Origin(about=f"back-up {folder}", ledger=ledger, references=references, hinted=None)


def _bring_up(ledger: Path) -> None:
    """Upgrades the ledger to the current version of its tables."""
    with closing(Ledger(ledger)):
        pass


def _listed(client: Client) -> pa.Table:
    found = every(lambda cursor: client.list_references(limit=PAGE_SIZE, cursor=cursor))
    rows = [{"id": one.id, "owner": one.owner, "library": one.library} for one in found]
    return pa.Table.from_pylist(rows, schema=REFERENCES)


def _hints(origin: Origin, most: int) -> tuple[pa.Table, int]:
    """Edits of the newest duplicates, and the number of those with stored evidence."""
    rows: list[dict[str, str]] = []
    looked_at = 0
    if origin.hinted is not None and most:
        with closing(Ledger(origin.ledger)) as ledger:
            checks = ledger.list_checks(outcome=Outcome.DUPLICATE, limit=most).items
        for check in checks:
            try:
                kinds = origin.hinted(check)
            except (EvidenceNotKept, ApiError):
                continue
            looked_at += 1
            rows += [{"check_id": check.id, "kind": kind} for kind in kinds]
    return pa.Table.from_pylist(rows, schema=HINTS), looked_at


def _asked_hints(client: Client, check: Check) -> list[str]:
    best = check.verdict.matches[0]
    return [hint.kind for hint in client.get_evidence(check.id, best.reference_id).hints]


def _explained(settings: Settings) -> Hinted:
    explainer = make_explainer(settings)

    def hinted(check: Check) -> list[str]:
        return [
            str(hint.kind) for hint in explainer.explain(check.id, check.verdict.matches[0]).hints
        ]

    return hinted


def _day(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d")


def _write(out: Path, page: str, tables: dict[str, pa.Table], exports: list[Export]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / PAGE).write_text(page, encoding="utf-8")
        for name, table in tables.items():
            if Export.PARQUET in exports:
                pq.write_table(table, out / f"{name}.parquet")
            if Export.CSV in exports:
                pa_csv.write_csv(table, out / f"{name}.csv")
            if Export.JSON in exports:
                text = json.dumps(table.to_pylist(), ensure_ascii=False, indent=1)
                (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    except OSError as exc:
        raise StoreUnavailable(f"the report cannot be written to {out}: {exc}") from exc
