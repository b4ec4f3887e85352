"""Backends of commands: a running service over HTTP, or a local data folder."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from pipelines.cli.options import (
    DATA,
    Config,
    Data,
    Key,
    Url,
    command_settings,
    connected,
    printed_errors,
)

if TYPE_CHECKING:
    from dubl.client.client import Client
    from dubl.contract.bodies import Page
    from dubl.local.client import LocalClient

Backend: TypeAlias = "Client | LocalClient"
Command = Callable[..., None]
Item = TypeVar("Item")

LOCAL = "http://127.0.0.1:8000"


@contextmanager
def opened_backend(url: str, key: str, data: Path, config: Path | None) -> Iterator[Backend]:
    """The service at `url`; without one, the data folder. Methods raise DublError or ClientError.

    Raises StoreUnavailable while a service holds the folder.
    """
    if url:
        with connected(url, key) as client:
            yield client
        return
    from dubl import LocalClient

    with LocalClient(settings=command_settings(data, config)) as local:
        yield local


def on_backend(command: Command) -> Command:
    """Opens a backend for a command, by its further options --url, --data and --config.

    The command's first parameter is the Backend; its errors are printed.
    """
    options = {"url": (Url, ""), "data": (Data, DATA), "config": (Config, None), "key": (Key, "")}
    return _opening(command, opened_backend, options)


def on_service(command: Command) -> Command:
    """As on_backend, for a command that needs a service: its first parameter is the Client."""
    return _opening(command, connected, {"url": (Url, LOCAL), "key": (Key, "")})


def every(page_of: Callable[[str], Page[Item]]) -> Iterator[Item]:
    """The items of all pages; `page_of` takes a cursor."""
    cursor: str | None = ""
    while cursor is not None:
        page = page_of(cursor)
        yield from page.items
        cursor = page.next_cursor


def _opening(
    command: Command,
    opened: Callable[..., AbstractContextManager[Backend]],
    options: dict[str, tuple[object, object]],
) -> Command:
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    added = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]

    @wraps(command)
    def run(**given: object) -> None:
        chosen = {name: given.pop(name) for name in options}
        with printed_errors(), opened(**chosen) as backend:
            command(backend, **given)

    # typer reads both.
    run.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in (*own, *added)}
    return run
