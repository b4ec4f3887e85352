"""`dubl references`: the library and the rights of its references. `dubl search`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from dubl.client.client import Client
from dubl.contract.bodies import (
    ExcludedSegment,
    FrameFound,
    LicenseWindow,
    Plain,
    Reference,
    Rights,
)
from dubl.contract.bodies import Library as Listed
from dubl.contract.names import plain_text
from dubl.errors import ConfigurationError
from dubl.rights.terms import Action
from dubl.settings import Settings
from pipelines.cli.options import (
    FAILED,
    AsJson,
    Backend,
    every,
    on_backend,
    on_new_backend,
    on_settings,
    one_of_many,
    with_folders,
)
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


class FailedVideo(Plain):
    """A video that `dubl index` could not register."""

    path: str
    code: str
    detail: str
    attempts: int
    created_at: str


FAILURES: Columns[FailedVideo] = {
    "video": lambda one: one.path,
    "error": lambda one: one.code,
    "detail": lambda one: one.detail,
    "attempts": lambda one: str(one.attempts),
    "last": lambda one: moment(one.created_at)[:16],
}
MAX_LISTED = 500

Library = Annotated[str, typer.Option(help="name of the library")]
Owner = Annotated[str, typer.Option(help="holder of the rights")]
Metadata = Annotated[str, typer.Option(help="a JSON object")]
RightsText = Annotated[str, typer.Option(help="a JSON object, as docs/use/rights.md shows it")]
Id = Annotated[str, typer.Argument(metavar="ID")]


@references_app.command("add")
@on_new_backend
def add(
    backend: Backend,
    videos: Annotated[
        list[str], typer.Argument(help="files, folders, a zip (with --url) or links")
    ],
    library: Library = "main",
    id: Annotated[str, typer.Option(help="for a single video; default: a new id")] = "",  # noqa: A002
    title: Annotated[str, typer.Option(help="for a single video; default: its file name")] = "",
    owner: Owner = "",
    metadata: Metadata = "{}",
    rights: RightsText = "{}",
    as_json: AsJson = False,
) -> None:
    """Registers videos. For known files it prints the existing references.

    Exit code 1 means that a video could not be registered. Use `dubl index` for large archives.
    """
    about, allowed = _metadata(metadata), read_rights(rights)
    wanted = _expanded(videos)
    if len(wanted) > 1 and (id or title):
        raise typer.BadParameter("--id and --title need a single video")
    zips = [one for one in wanted if one.lower().endswith(".zip")]
    if zips and not isinstance(backend, Client):
        raise typer.BadParameter("a zip needs a service; name it with --url")
    register = partial(
        backend.register, library=library, id=id, owner=owner, metadata=about, rights=allowed
    )
    added: list[Reference | None] = []
    with progress_bar(len(wanted)) as bar:
        for one in wanted:
            bar.begin(plain_text(one))
            if isinstance(backend, Client) and one in zips:
                added += _unzipped(backend, one, library, owner, bar)
            else:
                link, named = (one, "") if "://" in one else ("", one)
                added.append(None)
                with one_of_many(one):
                    stem = Path(plain_text(one)).stem
                    added[-1] = register(named, link=link, title=title or stem)
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


@references_app.command("failures")
@on_settings
def failures(settings: Settings, as_json: AsJson = False) -> None:
    """Lists the videos that `dubl index` could not register, with the reasons."""
    if not Path(settings.index_uri).is_dir() and "://" not in settings.index_uri:
        raise ConfigurationError(f"there is no library in '{settings.data_dir}'. Check --data.")
    from dubl.assembly import make_store

    found = map(FailedVideo.of, make_store(settings, read_only=True).failures())
    print_items(tuple(found), FAILURES, as_json=as_json)


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


def _unzipped(
    client: Client, archive: str, library: str, owner: str, bar: Bar
) -> list[Reference | None]:
    """Registers a zip's videos by one job of the service; None for each failed video."""
    batch = client.submit_batch(archive, kind="reference", library=library, owner=owner)
    job = client.wait_for_job(
        batch.job_id,
        timeout_s=24 * 3600,
        on_job=lambda job: bar.stage(job.stage or job.status, job.progress),
    )
    pages = partial(client.list_jobs, batch=batch.job_id, limit=MAX_LISTED)
    children = list(every(lambda cursor: pages(cursor=cursor)))  # newest first
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
    for video in videos:
        if not ("://" in video or Path(video).is_dir() or Path(video).is_file()):
            raise typer.BadParameter(f"file '{plain_text(video)}' does not exist")
    return with_folders(videos)


def _metadata(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError as exc:
        raise typer.BadParameter(f"--metadata is not valid JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise typer.BadParameter("--metadata must be a JSON object")
    return value


def read_rights(text: str) -> Rights:
    try:
        return Rights.model_validate_json(text)
    except ValidationError as exc:
        raise typer.BadParameter(f"--rights: {exc.errors()[0]['msg']}") from exc


def changed_rights(
    rights: Rights, *, action: Action | None, min_copied_s: float | None
) -> Rights | None:
    """The rights with the given changes; None without changes."""
    given = {
        "action": None if action is None else action.value,
        "min_copied_s": min_copied_s,
    }
    change = {name: value for name, value in given.items() if value is not None}
    return rights.model_copy(update=change) if change else None


@references_app.command("license")
@on_backend
def license_reference(
    backend: Backend,
    reference_id: Id,
    since: Annotated[str, typer.Option("--from", help="start, ISO 8601; default: open")] = "",
    until: Annotated[str, typer.Option(help="end, exclusive; default: open")] = "",
    territory: Annotated[list[str] | None, typer.Option(help="country, two letters")] = None,
    channel: Annotated[list[str] | None, typer.Option(help="may be repeated")] = None,
) -> None:
    """Adds a license window. Copies within it do not count."""
    window = LicenseWindow.model_validate(
        {
            "from": since or None,
            "until": until or None,
            "territories": territory or (),
            "channels": channel or (),
        }
    )
    windows = backend.get_reference(reference_id).rights.license_windows
    _change(backend, reference_id, license_windows=(*windows, window))


@references_app.command("unlicense")
@on_backend
def unlicense(backend: Backend, reference_id: Id) -> None:
    """Removes all license windows."""
    _change(backend, reference_id, license_windows=())


@references_app.command("exclude")
@on_backend
def exclude(
    backend: Backend,
    reference_id: Id,
    start_s: Annotated[float, typer.Argument(min=0, metavar="START", help="seconds")],
    end_s: Annotated[float, typer.Argument(min=0, metavar="END", help="seconds")],
    label: Annotated[str, typer.Option(help="intro, credits, …")] = "",
) -> None:
    """Excludes a segment, such as an intro. Copies of it do not count."""
    segment = ExcludedSegment(start_s=start_s, end_s=end_s, label=label)
    segments = backend.get_reference(reference_id).rights.excluded_segments
    _change(backend, reference_id, excluded_segments=(*segments, segment))


@references_app.command("include")
@on_backend
def include(backend: Backend, reference_id: Id) -> None:
    """Removes all excluded segments."""
    _change(backend, reference_id, excluded_segments=())


def _change(backend: Backend, reference_id: str, **change: object) -> None:
    rights = backend.get_reference(reference_id).rights.model_copy(update=change)
    print_json(backend.update_reference(reference_id, rights=rights).rights)


FRAMES: Columns[FrameFound] = {
    "reference": lambda one: one.reference_id,
    "library": lambda one: one.library,
    "similarity": lambda one: f"{one.similarity:.2f}",
    "seconds": lambda one: " ".join(
        f"{span.start_s:.1f}-{span.end_s:.1f}" for span in one.spans[:SPANS_SHOWN]
    ),
}
MAX_SHOWN = 50
SPANS_SHOWN = 5


@on_backend
def search(
    backend: Backend,
    what: Annotated[
        str, typer.Argument(help="part of an id, a title or a source; or an image or video file")
    ],
    at: Annotated[float, typer.Option(min=0, help="second of a video file")] = 0.0,
    library: Annotated[str, typer.Option(help="default: all libraries")] = "",
    owner: Annotated[str, typer.Option(help="only in a search by text")] = "",
    limit: Annotated[int, typer.Option(min=1, max=MAX_SHOWN)] = 10,
    as_json: AsJson = False,
) -> None:
    """Finds references by text; or, for a file, references that show its picture.

    The similarity of a picture is not a verdict: frames of other videos may be similar too.
    """
    if Path(what).is_file():
        frames = backend.search_frame(what, time_s=at, library=library, limit=limit)
        print_items(frames, FRAMES, as_json=as_json)
        return
    page = backend.list_references(library=library, owner=owner, text=what, limit=limit)
    print_items(page.items, REFERENCES, as_json=as_json)
