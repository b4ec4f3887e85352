"""`dubl references license | unlicense | exclude | include`: the rights of references."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import ValidationError

from dubl.contract.bodies import ExcludedSegment, LicenseWindow, Rights
from dubl.rights.terms import Action as Action
from pipelines.cli.backends import opened_backend
from pipelines.cli.options import DATA, Config, Data, Key, Url, printed_errors
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


def add_rights_commands(app: typer.Typer) -> None:
    for name, command in (
        ("license", license_reference),
        ("unlicense", unlicense),
        ("exclude", exclude),
        ("include", include),
    ):
        app.command(name)(command)


def license_reference(
    reference_id: Id,
    since: Annotated[str, typer.Option("--from", help="start, ISO 8601; default: open")] = "",
    until: Annotated[str, typer.Option(help="end, exclusive; default: open")] = "",
    territory: Annotated[list[str] | None, typer.Option(help="country, two letters")] = None,
    channel: Annotated[list[str] | None, typer.Option(help="may be repeated")] = None,
    url: Url = "",
    data: Data = DATA,
    config: Config = None,
    key: Key = "",
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
    with printed_errors(), opened_backend(url, key, data, config) as backend:
        rights = backend.get_reference(reference_id).rights
        windows = (*rights.license_windows, window)
        changed = rights.model_copy(update={"license_windows": windows})
        print_json(backend.update_reference(reference_id, rights=changed).rights)


def unlicense(
    reference_id: Id, url: Url = "", data: Data = DATA, config: Config = None, key: Key = ""
) -> None:
    """Removes all license windows."""
    _replace(reference_id, {"license_windows": ()}, url, key, data, config)


def exclude(
    reference_id: Id,
    start_s: Annotated[float, typer.Argument(min=0, metavar="START", help="seconds")],
    end_s: Annotated[float, typer.Argument(min=0, metavar="END", help="seconds")],
    label: Annotated[str, typer.Option(help="intro, credits, …")] = "",
    url: Url = "",
    data: Data = DATA,
    config: Config = None,
    key: Key = "",
) -> None:
    """Excludes a segment, such as an intro. Copies of it do not count."""
    segment = ExcludedSegment(start_s=start_s, end_s=end_s, label=label)
    with printed_errors(), opened_backend(url, key, data, config) as backend:
        rights = backend.get_reference(reference_id).rights
        segments = (*rights.excluded_segments, segment)
        changed = rights.model_copy(update={"excluded_segments": segments})
        print_json(backend.update_reference(reference_id, rights=changed).rights)


def include(
    reference_id: Id, url: Url = "", data: Data = DATA, config: Config = None, key: Key = ""
) -> None:
    """Removes all excluded segments."""
    _replace(reference_id, {"excluded_segments": ()}, url, key, data, config)


def _replace(
    reference_id: str,
    change: dict[str, object],
    url: str,
    key: str,
    data: Data,
    config: Config,
) -> None:
    with printed_errors(), opened_backend(url, key, data, config) as backend:
        rights = backend.get_reference(reference_id).rights.model_copy(update=change)
        print_json(backend.update_reference(reference_id, rights=rights).rights)
