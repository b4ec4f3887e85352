"""`dubl references`: the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dubl.client.errors import ClientError
from dubl.contract.bodies import Library as Listed
from dubl.contract.bodies import Reference, Rights
from dubl.errors import DublError
from pipelines.cli.backends import Backend, every, on_backend, opened_backend
from pipelines.cli.options import (
    ABOUT_THE_VIDEO,
    DATA,
    FAILED,
    AsJson,
    Config,
    Data,
    Key,
    Url,
    connected,
    print_error,
    printed_errors,
)
from pipelines.cli.rights import COMMANDS, Action, RightsText, changed_rights, read_rights
from pipelines.cli.show import Bar, Columns, moment, print_items, print_json, progress_bar

references_app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="The library: add, list, show, edit, delete."
)
REFERENCES: Columns[Reference] = {
    "id": lambda one: one.id,
    "library": lambda one: one.library,
    "title": lambda one: one.title,
    "owner": lambda one: one.owner,
    "seconds": lambda one: f"{one.duration_s:.1f}",
    "registered": lambda one: moment(one.created_at)[:16],
}
LIBRARIES: Columns[Listed] = {
    "library": lambda one: one.name,
    "references": lambda one: str(one.references),
}
SUFFIXES = {".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".ts", ".wmv", ".flv", ".mpg"}
MAX_LISTED = 500

Library = Annotated[str, typer.Option(help="name of the library")]
Owner = Annotated[str, typer.Option(help="holder of the rights")]
Metadata = Annotated[str, typer.Option(help="a JSON object")]
Id = Annotated[str, typer.Argument(metavar="ID")]


@references_app.command("add")
def add(
    videos: Annotated[
        list[str], typer.Argument(help="files, folders, a zip (with --url) or links")
    ],
    library: Library = "main",
    id: Annotated[str, typer.Option(help="for a single video; default: a new id")] = "",  # noqa: A002
    title: Annotated[str, typer.Option(help="for a single video; default: its file name")] = "",
    owner: Owner = "",
    metadata: Metadata = "{}",
    rights: RightsText = "{}",
    url: Url = "",
    data: Data = DATA,
    config: Config = None,
    as_json: AsJson = False,
    key: Key = "",
) -> None:
    """Registers videos. For known files it prints the existing references.

    Exit code 1 means that a video could not be registered. Use `dubl index` for large archives.
    """
    about, allowed = _metadata(metadata), read_rights(rights)
    wanted = _expanded(videos)
    if len(wanted) > 1 and (id or title):
        raise typer.BadParameter("--id and --title need a single video")
    with printed_errors(), progress_bar(len(wanted)) as bar:
        zips = [one for one in wanted if one.lower().endswith(".zip")]
        if zips and not url:
            raise typer.BadParameter("a zip needs a service; name it with --url")
        added: list[Reference | None] = []
        with opened_backend(url, key, data, config) as backend:
            for one in wanted:
                bar.begin(one)
                if one in zips:
                    added += _unzipped(url, key, one, library, owner, bar)
                else:
                    known = {"id": id, "title": title or Path(one).stem, "owner": owner}
                    added.append(_registered(backend, one, library, known, about, allowed))
                bar.end()
    found = [one for one in added if one is not None]
    print_items(found, REFERENCES, as_json=as_json)
    if len(found) < len(added):
        raise typer.Exit(FAILED)


@references_app.command("list")
@on_backend
def list_references(
    backend: Backend,
    library: Library = "",
    owner: Owner = "",
    limit: Annotated[int, typer.Option(min=1, max=MAX_LISTED)] = 50,
    as_json: AsJson = False,
) -> None:
    """Lists references, newest first."""
    page = backend.list_references(library=library, owner=owner, limit=limit)
    print_items(page.items, REFERENCES, as_json=as_json)


@references_app.command("libraries")
@on_backend
def libraries(backend: Backend, as_json: AsJson = False) -> None:
    """Lists libraries with the number of their references."""
    print_items(backend.list_libraries(), LIBRARIES, as_json=as_json)


@references_app.command("show")
@on_backend
def show(backend: Backend, reference_id: Id) -> None:
    """Prints a reference as JSON."""
    print_json(backend.get_reference(reference_id))


@references_app.command("edit")
@on_backend
def edit(
    backend: Backend,
    reference_id: Id,
    title: Annotated[str | None, typer.Option()] = None,
    owner: Annotated[str | None, typer.Option()] = None,
    metadata: Annotated[str | None, typer.Option(help="a JSON object")] = None,
    action: Annotated[Action | None, typer.Option(help="the owner's action for copies")] = None,
    min_copied_s: Annotated[
        float | None, typer.Option(min=0, help="shorter copies, in seconds, do not count")
    ] = None,
) -> None:
    """Changes the given fields, and prints the reference as JSON."""
    about = None if metadata is None else _metadata(metadata)
    rights = changed_rights(
        backend.get_reference(reference_id).rights, action=action, min_copied_s=min_copied_s
    )
    print_json(
        backend.update_reference(
            reference_id, title=title, owner=owner, metadata=about, rights=rights
        )
    )


@references_app.command("delete")
@on_backend
def delete(
    backend: Backend, reference_ids: Annotated[list[str], typer.Argument(metavar="ID")]
) -> None:
    """Deletes references. They disappear from all answers at once."""
    for reference_id in reference_ids:
        backend.delete_reference(reference_id)
        typer.echo(f"deleted {reference_id}")


for name, command in COMMANDS.items():
    references_app.command(name)(command)


def _registered(
    backend: Backend,
    video: str,
    library: str,
    known: dict[str, str],
    metadata: dict[str, object],
    rights: Rights,
) -> Reference | None:
    """The reference; None after an error of this video, so that the others are still added."""
    link = video if "://" in video else ""
    try:
        return backend.register(
            "" if link else video,
            link=link,
            library=library,
            id=known["id"],
            title=known["title"],
            owner=known["owner"],
            metadata=metadata,
            rights=rights,
        )
    except (DublError, ClientError) as exc:
        if not isinstance(exc, ABOUT_THE_VIDEO):
            raise
        print_error(exc, about=video)
        return None


def _unzipped(
    url: str, key: str, archive: str, library: str, owner: str, bar: Bar
) -> list[Reference | None]:
    """Registers a zip's videos by one job of the service; None for each failed video."""
    with connected(url, key) as client:
        batch = client.submit_batch(archive, kind="reference", library=library, owner=owner)
        job = client.wait_for_job(
            batch.job_id,
            timeout_s=24 * 3600,
            on_job=lambda job: bar.stage(job.stage or job.status, job.progress),
        )
        # Newest first.
        children = list(
            every(
                lambda cursor: client.list_jobs(batch=batch.job_id, limit=MAX_LISTED, cursor=cursor)
            )
        )
        for error in [one.error for one in children or [job] if one.error is not None]:
            typer.echo(f"{archive}: {error.code}: {error.detail} {error.hint}".rstrip(), err=True)
        if job.status == "failed" and not children:
            return [None]
        return [
            client.get_reference(child.result_id) if child.result_id else None
            for child in reversed(children)
        ]


def _expanded(videos: list[str]) -> list[str]:
    """The videos, with folders replaced by the videos in them."""
    found: list[str] = []
    for video in videos:
        path = Path(video)
        if "://" in video:
            found.append(video)
        elif path.is_dir():
            below = (one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES)
            found += sorted(str(one) for one in below)
        elif path.is_file():
            found.append(video)
        else:
            raise typer.BadParameter(f"file '{video}' does not exist")
    if not found:
        raise typer.BadParameter("the folder contains no video")
    return found


def _metadata(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError as exc:
        raise typer.BadParameter(f"--metadata is not valid JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise typer.BadParameter("--metadata must be a JSON object")
    return value
