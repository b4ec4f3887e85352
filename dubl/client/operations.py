"""What can be asked of the service: the request and how its answer is read, without any I/O, so
that the client that waits and the one that does not are the same."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, TypeAdapter

from dubl.client.guard import Calibration, LibraryPolicy, Quarantine
from dubl.client.models import (
    Accepted,
    Check,
    Evidence,
    FrameFound,
    Job,
    Library,
    Match,
    Page,
    Reference,
    Review,
    ReviewItem,
    Rights,
)

Result = TypeVar("Result")
Model = TypeVar("Model", bound=BaseModel)
Fields = Mapping[str, object]

LONGEST_POLL_S = 20.0
POLL_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[Result]):
    """One request. `repeatable`: it may be sent again although an earlier one may have arrived."""

    method: str
    path: str
    read: Callable[[bytes], Result]
    query: Mapping[str, str | int | Sequence[str]] = field(default_factory=dict)
    body: Fields | None = None
    file: Path | None = None
    wait_s: float = 0.0
    repeatable: bool = True


def submit_check(
    *, file: Path | None, link: str, fields: Fields, libraries: Sequence[str]
) -> Operation[Accepted]:
    """With an id of its own, so that it may be repeated: the first verdict of an id stays."""
    return Operation(
        method="POST",
        path="/v1/checks",
        query={"library": tuple(libraries)} if libraries else {},
        read=reading(Accepted),
        body={"id": str(uuid.uuid4()), **_submission(fields, link=link)},
        file=file,
    )


def get_check(check_id: str, *, wait_s: float = 0.0) -> Operation[Check | Accepted]:
    path = f"/v1/checks/{quote(check_id, safe='')}"
    return Operation(
        method="GET", path=path, read=reading_either(_CHECK_OR_ACCEPTED), wait_s=wait_s
    )


def list_checks(
    *, outcome: str, reference_id: str, limit: int, cursor: str
) -> Operation[Page[Check]]:
    query = {"outcome": outcome, "reference_id": reference_id, "limit": limit, "cursor": cursor}
    return Operation(method="GET", path="/v1/checks", query=given(query), read=reading(Page[Check]))


def submit_reference(
    *, file: Path | None, link: str, path: str, fields: Fields, wait_s: float
) -> Operation[Reference | Accepted]:
    """May be repeated: the same bytes registered twice in a library are one reference."""
    return Operation(
        method="POST",
        path="/v1/references",
        read=reading_either(_REFERENCE_OR_ACCEPTED),
        body=_submission(fields, link=link, path=path),
        file=file,
        wait_s=wait_s,
    )


def get_reference(reference_id: str, *, wait_s: float = 0.0) -> Operation[Reference | Accepted]:
    return Operation(
        method="GET",
        path=_reference(reference_id),
        read=reading_either(_REFERENCE_OR_ACCEPTED),
        wait_s=wait_s,
    )


def list_references(
    *, library: str, owner: str, text: str, limit: int, cursor: str
) -> Operation[Page[Reference]]:
    query = {"library": library, "owner": owner, "q": text, "limit": limit, "cursor": cursor}
    return Operation(
        method="GET", path="/v1/references", query=given(query), read=reading(Page[Reference])
    )


def update_reference(reference_id: str, change: Fields) -> Operation[Reference]:
    return Operation(
        method="PATCH", path=_reference(reference_id), body=change, read=reading(Reference)
    )


def plain(rights: Rights) -> Fields:
    """As the service takes them."""
    return rights.model_dump(mode="json")


def delete_reference(reference_id: str) -> Operation[None]:
    return Operation(method="DELETE", path=_reference(reference_id), read=lambda _: None)


def list_libraries() -> Operation[tuple[Library, ...]]:
    return Operation(
        method="GET", path="/v1/libraries", read=lambda body: _LIBRARIES.validate_json(body).items
    )


def get_job(job_id: str) -> Operation[Job]:
    return Operation(method="GET", path=f"/v1/jobs/{quote(job_id, safe='')}", read=reading(Job))


def list_nearest(check_id: str, *, m: int) -> Operation[tuple[Match, ...]]:
    return Operation(
        method="GET",
        path=f"/v1/checks/{quote(check_id, safe='')}/nearest",
        query={"m": m},
        read=lambda body: _MATCHES.validate_json(body).items,
    )


def search_frame(
    file: Path, *, time_s: float, library: str, limit: int
) -> Operation[tuple[FrameFound, ...]]:
    return Operation(
        method="POST",
        path="/v1/search/frame",
        query={"limit": limit},
        body={"time_s": time_s, **({"library": library} if library else {})},
        file=file,
        read=lambda body: _FRAMES.validate_json(body).items,
    )


def get_evidence(check_id: str, reference_id: str) -> Operation[Evidence]:
    ids = (quote(check_id, safe=""), quote(reference_id, safe=""))
    path = f"/v1/checks/{ids[0]}/matches/{ids[1]}/evidence"
    return Operation(method="GET", path=path, read=reading(Evidence))


def poll_s(deadline: float) -> float:
    """How long an answer may be waited for, when all is to be over at `deadline` (monotonic)."""
    return min(max(deadline - time.monotonic(), 0.0), LONGEST_POLL_S)


def get_bytes(address: str) -> Operation[bytes]:
    """A picture or file at an address that an answer named."""
    return Operation(method="GET", path=address, read=lambda body: body)


def review_queue(*, state: str, limit: int, cursor: str) -> Operation[Page[ReviewItem]]:
    query = given({"state": state, "limit": limit, "cursor": cursor})
    return Operation(
        method="GET", path="/v1/reviews/queue", query=query, read=reading(Page[ReviewItem])
    )


def list_reviews(
    *, check_id: str, reference_id: str, limit: int, cursor: str
) -> Operation[Page[Review]]:
    query = {"check_id": check_id, "reference_id": reference_id, "limit": limit, "cursor": cursor}
    return Operation(
        method="GET", path="/v1/reviews", query=given(query), read=reading(Page[Review])
    )


def review(body: Fields) -> Operation[Review]:
    """Never repeated by itself: each one is an entry of the history."""
    return Operation(
        method="POST", path="/v1/reviews", body=body, read=reading(Review), repeatable=False
    )


def list_quarantines(*, status: str) -> Operation[tuple[Quarantine, ...]]:
    return Operation(
        method="GET",
        path="/v1/reviews/quarantine",
        query=given({"status": status}),
        read=lambda body: _QUARANTINES.validate_json(body).items,
    )


def decide_quarantine(body: Fields) -> Operation[Quarantine]:
    return Operation(
        method="POST",
        path="/v1/reviews/quarantine",
        body=body,
        read=reading(Quarantine),
        repeatable=False,
    )


def library_policy(library: str) -> Operation[LibraryPolicy]:
    path = f"/v1/libraries/{quote(library, safe='')}/policy"
    return Operation(method="GET", path=path, read=reading(LibraryPolicy))


def calibrate(library: str, body: Fields) -> Operation[Calibration]:
    """Never repeated by itself: each one that is adopted is a version of the thresholds."""
    path = f"/v1/libraries/{quote(library, safe='')}/calibrate"
    return Operation(
        method="POST", path=path, body=body, read=reading(Calibration), repeatable=False
    )


class _Quarantines(BaseModel):
    items: tuple[Quarantine, ...]


class _Matches(BaseModel):
    items: tuple[Match, ...]


class _Frames(BaseModel):
    items: tuple[FrameFound, ...]


class _Libraries(BaseModel):
    items: tuple[Library, ...]


_CHECK_OR_ACCEPTED: TypeAdapter[Check | Accepted] = TypeAdapter(Check | Accepted)
_REFERENCE_OR_ACCEPTED: TypeAdapter[Reference | Accepted] = TypeAdapter(Reference | Accepted)
_LIBRARIES = TypeAdapter(_Libraries)
_MATCHES = TypeAdapter(_Matches)
_QUARANTINES = TypeAdapter(_Quarantines)
_FRAMES = TypeAdapter(_Frames)


def reading_either(adapter: TypeAdapter[Result]) -> Callable[[bytes], Result]:
    return lambda body: adapter.validate_json(body)


def reading(kind: type[Model]) -> Callable[[bytes], Model]:
    return lambda body: kind.model_validate_json(body)


def _submission(fields: Fields, *, link: str = "", path: str = "") -> dict[str, object]:
    every = {**fields, "link": link, "path": path}
    return {name: value for name, value in every.items() if value}


def given(query: Mapping[str, object]) -> dict[str, str | int | Sequence[str]]:
    return {name: str(value) for name, value in query.items() if value != ""}


def _reference(reference_id: str) -> str:
    return f"/v1/references/{quote(reference_id, safe='')}"
