"""Whom commands ask: a service by its address, or the data folder in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from dubl.client.admin_operations import OnProgress
from dubl.client.guard import Calibration
from dubl.client.models import (
    Check,
    FrameFound,
    Library,
    Page,
    Reference,
    Review,
    ReviewItem,
    Rights,
)
from pipelines.cli.options import command_settings, connected


class Desk(Protocol):
    """What both can be asked. Methods raise DublError or ClientError."""

    def check(
        self,
        file: Path | str = "",
        *,
        link: str = "",
        libraries: Sequence[str] = (),
        channel: str = "",
        territory: str = "",
        time: str = "",
        on_progress: OnProgress | None = None,
    ) -> Check: ...

    def register(
        self,
        file: Path | str = "",
        *,
        link: str = "",
        id: str = "",  # noqa: A002
        library: str = "",
        title: str = "",
        owner: str = "",
        metadata: Mapping[str, object] | None = None,
        rights: Rights | None = None,
    ) -> Reference: ...

    def get_reference(self, reference_id: str) -> Reference: ...

    def list_references(
        self,
        *,
        library: str = "",
        owner: str = "",
        text: str = "",
        limit: int = 50,
        cursor: str = "",
    ) -> Page[Reference]: ...

    def update_reference(
        self,
        reference_id: str,
        *,
        title: str | None = None,
        owner: str | None = None,
        metadata: Mapping[str, object] | None = None,
        rights: Rights | None = None,
    ) -> Reference: ...

    def delete_reference(self, reference_id: str) -> None: ...

    def search_frame(
        self, file: Path | str, *, time_s: float = 0.0, library: str = "", limit: int = 10
    ) -> tuple[FrameFound, ...]: ...

    def list_libraries(self) -> tuple[Library, ...]: ...

    def review_queue(
        self, *, state: str = "open", limit: int = 50, cursor: str = ""
    ) -> Page[ReviewItem]: ...

    def list_reviews(
        self, *, check_id: str = "", reference_id: str = "", limit: int = 50, cursor: str = ""
    ) -> Page[Review]: ...

    def calibrate_library(
        self, library: str, *, least_decisions: int = 30, adopt: bool = True
    ) -> Calibration: ...

    def review(
        self, check_id: str, reference_id: str, *, decision: str, reviewer: str = "", note: str = ""
    ) -> Review: ...


@contextmanager
def opened_desk(url: str, key: str, data: Path, config: Path | None) -> Iterator[Desk]:
    """The service at `url`; without one, the data folder. Raises StoreUnavailable while a service
    holds it."""
    if url:
        with connected(url, key) as client:
            yield client
        return
    from dubl.local.client import LocalDubl

    with LocalDubl(command_settings(data, config)) as local:
        yield local
