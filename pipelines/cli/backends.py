"""Backends of commands: a running service over HTTP, or a local data folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pipelines.cli.options import command_settings, connected

if TYPE_CHECKING:
    from dubl.client.client import Client
    from dubl.local.client import LocalClient

Backend: TypeAlias = "Client | LocalClient"


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
