"""`dubl erase`: removes checks and references of a person or a work, after a list of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer
from pydantic import BaseModel

from dubl.client.errors import ApiError
from dubl.contract.bodies import Check, Reference
from dubl.errors import StateConflict
from pipelines.cli.options import FAILED, AsJson, Backend, every, on_backend
from pipelines.cli.show import Columns, print_items

PAGE = 500
FROM_CHECK = "ledger: verdict, matches, decisions, jobs, webhooks; kept: file, pictures, features"
FROM_REFERENCE = "library: frames, features, rights; kept: file, pictures; ledger: quarantine"
LEFT = (
    "Back-ups, copies of the ledger and the audit log's addresses may still hold it; "
    "docs/operate/retention.md says until when."
)


class Erased(BaseModel):
    """One line of the report."""

    kind: str
    id: str
    name: str
    sha256: str
    result: str
    removed: str


COLUMNS: Columns[Erased] = {
    "what": lambda one: one.kind,
    "id": lambda one: one.id,
    "name": lambda one: one.name,
    "result": lambda one: one.result,
    "from where": lambda one: one.removed,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be erased."""

    checks: list[str]
    references: list[str]
    name: str
    sha256: str


@on_backend
def erase(
    backend: Backend,
    checks: Annotated[list[str] | None, typer.Option("--check", help="id; repeatable")] = None,
    references: Annotated[
        list[str] | None, typer.Option("--reference", help="id; repeatable")
    ] = None,
    name: Annotated[
        str, typer.Option(help="in an upload's name, or a reference's id, title or source")
    ] = "",
    sha256: Annotated[str, typer.Option(help="of the file, or its beginning")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="erase; otherwise it only lists")] = False,
    as_json: AsJson = False,
) -> None:
    """Erases checks and references with all that is stored of them; without --yes it lists them.

    What is under a legal hold stays, and the exit code is 1. With a running service (--url), an
    administrator's key is needed.
    """
    wanted = Wanted(checks=checks or [], references=references or [], name=name, sha256=sha256)
    if not (wanted.checks or wanted.references or name or sha256):
        raise typer.BadParameter("name --check, --reference, --name or --sha256")
    found = [*_checks(backend, wanted), *_references(backend, wanted)]
    report = [_erased(backend, one) if yes else one for one in found]
    print_items(report, COLUMNS, as_json=as_json)
    typer.echo(LEFT if yes else f"{len(report)} found. Add --yes to erase them.", err=True)
    if any(one.result.startswith("kept") for one in report):
        raise typer.Exit(FAILED)


def _checks(backend: Backend, wanted: Wanted) -> list[Erased]:
    found = {one: backend.wait_for_check(one, timeout_s=0) for one in wanted.checks}
    if wanted.name:
        named = partial(backend.list_checks, text=wanted.name, limit=PAGE)
        found |= {one.id: one for one in every(lambda cursor: named(cursor=cursor))}
    if wanted.sha256:
        alike = partial(backend.list_checks, sha256=wanted.sha256, limit=PAGE)
        found |= {one.id: one for one in every(lambda cursor: alike(cursor=cursor))}
    return [_of_check(one) for one in found.values()]


def _references(backend: Backend, wanted: Wanted) -> list[Erased]:
    found = {one: backend.get_reference(one) for one in wanted.references}
    if wanted.name:
        found |= {one.id: one for one in _listed(backend, wanted.name)}
    if wanted.sha256:
        beginning = wanted.sha256.lower()
        found |= {one.id: one for one in _listed(backend) if one.sha256.startswith(beginning)}
    return [_of_reference(one) for one in found.values()]


def _listed(backend: Backend, text: str = "") -> Iterator[Reference]:
    pages = partial(backend.list_references, text=text, limit=PAGE)
    return every(lambda cursor: pages(cursor=cursor))


def _of_check(one: Check) -> Erased:
    return Erased(
        kind="check",
        id=one.id,
        name=one.query_name,
        sha256=one.query_sha256,
        result="found",
        removed=FROM_CHECK,
    )


def _of_reference(one: Reference) -> Erased:
    return Erased(
        kind="reference",
        id=one.id,
        name=one.title or one.source,
        sha256=one.sha256,
        result="found",
        removed=FROM_REFERENCE,
    )


def _erased(backend: Backend, one: Erased) -> Erased:
    try:
        (backend.delete_check if one.kind == "check" else backend.delete_reference)(one.id)
    except (ApiError, StateConflict) as exc:
        if exc.code != StateConflict.code:
            raise
        return one.model_copy(update={"result": f"kept: {exc.detail}", "removed": ""})
    return one.model_copy(update={"result": "erased"})
