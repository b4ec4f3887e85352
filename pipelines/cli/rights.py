"""`dubl references license | unlicense | exclude | include`: the rights of references."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import ValidationError

from dubl.contract.bodies import ExcludedSegment, LicenseWindow, Rights
from dubl.rights.terms import Action as Action
from pipelines.cli.backends import Backend, on_backend
from pipelines.cli.show import print_json

RightsText = Annotated[str, typer.Option(help="a JSON object, as docs/use/rights.md shows it")]
Id = Annotated[str, typer.Argument(metavar="ID")]


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


@on_backend
def unlicense(backend: Backend, reference_id: Id) -> None:
    """Removes all license windows."""
    _change(backend, reference_id, license_windows=())


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


@on_backend
def include(backend: Backend, reference_id: Id) -> None:
    """Removes all excluded segments."""
    _change(backend, reference_id, excluded_segments=())


def _change(backend: Backend, reference_id: str, **change: object) -> None:
    rights = backend.get_reference(reference_id).rights.model_copy(update=change)
    print_json(backend.update_reference(reference_id, rights=rights).rights)


COMMANDS = {
    "license": license_reference,
    "unlicense": unlicense,
    "exclude": exclude,
    "include": include,
}
