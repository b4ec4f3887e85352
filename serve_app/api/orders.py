"""From the fields of a request to an order; every wrong field is named."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from dubl.contract.orders import (
    BatchOrder,
    CheckOrder,
    ReferenceChange,
    ReferenceOrder,
    Terms,
    VideoInput,
)
from dubl.contract.requests import LIBRARY_PATTERN, TEXT_MAX_LENGTH
from dubl.errors import InvalidRequest
from dubl.rights.parsing import parse_context, parse_rights
from dubl.rights.terms import CheckContext
from dubl.types import MAIN_LIBRARY, JobKind, Metadata, ReferenceDraft
from serve_app.api.strict_json import parse_json
from serve_app.api.uploads import Submission

ID_MAX_LENGTH = 256
SOURCE_FIELDS = ("link", "path")
TEXT_FIELDS = ("id", "library", "title", "owner", "metadata", "callback_url")
CONTEXT_FIELDS = ("channel", "territory", "time")


def reference_order(submission: Submission) -> ReferenceOrder:
    fields = submission.fields
    _refuse_unknown(fields, {*SOURCE_FIELDS, *TEXT_FIELDS, "rights"})
    video = _video_input(submission)
    draft = ReferenceDraft(
        id=_identifier(fields) or _id_in_link(video.link) or str(uuid.uuid4()),
        library=_library(fields.get("library") or MAIN_LIBRARY),
        title=_text(fields, "title"),
        owner=_text(fields, "owner"),
        metadata=_metadata(fields.get("metadata")),
        rights=parse_rights(fields.get("rights")),
    )
    return ReferenceOrder(video=video, draft=draft)


def check_order(submission: Submission, libraries: Iterable[str]) -> CheckOrder:
    fields = submission.fields
    _refuse_unknown(fields, {*SOURCE_FIELDS, *TEXT_FIELDS, *CONTEXT_FIELDS})
    named = [*libraries, *([str(fields["library"])] if fields.get("library") else [])]
    return CheckOrder(
        id=_identifier(fields) or str(uuid.uuid4()),
        video=_video_input(submission),
        libraries=tuple(dict.fromkeys(_library(name) for name in named)),
        context=_context(fields),
    )


def batch_order(submission: Submission, *, max_items: int) -> BatchOrder:
    fields = submission.fields
    known = {"links", "kind", "library", "owner", "callback_url", "rights", *CONTEXT_FIELDS}
    _refuse_unknown(fields, known)
    kind = fields.get("kind") or JobKind.CHECK
    if kind not in (JobKind.CHECK, JobKind.REFERENCE):
        raise InvalidRequest("`kind` must be check or reference")
    links = _links(fields.get("links"), max_items)
    if bool(links) == (submission.upload is not None):
        raise InvalidRequest("send either a zip as `file` or a list of `links`")
    named = fields.get("library") or (MAIN_LIBRARY if kind == JobKind.REFERENCE else "")
    return BatchOrder(
        id=str(uuid.uuid4()),
        kind=JobKind(str(kind)),
        archive=submission.upload,
        links=links,
        libraries=(_library(named),) if named else (),
        owner=_text(fields, "owner"),
        rights=parse_rights(fields.get("rights")),
        context=_context(fields),
    )


def terms_of(submission: Submission, *, waits: bool) -> Terms:
    """`waits`: the request stays open for the result."""
    value = submission.fields.get("callback_url") or ""
    if not isinstance(value, str):
        raise InvalidRequest("`callback_url` must be text")
    return Terms(callback_url=_link(value, "callback_url") if value else "", waits=waits)


def legacy_order(fields: dict[str, object]) -> CheckOrder:
    """The original client's request: `link` only, other fields ignored."""
    link = fields.get("link")
    if not isinstance(link, str) or not link:
        raise InvalidRequest("`link` is missing")
    return CheckOrder(
        id=str(uuid.uuid4()), video=VideoInput(link=_link(link)), self_id=_id_in_link(link)
    )


def reference_change(fields: dict[str, object]) -> ReferenceChange:
    _refuse_unknown(fields, {"title", "owner", "metadata", "rights"})
    if not fields:
        raise InvalidRequest("nothing to change: send title, owner, metadata or rights")
    return ReferenceChange(
        title=_text(fields, "title") if "title" in fields else None,
        owner=_text(fields, "owner") if "owner" in fields else None,
        metadata=_metadata(fields["metadata"]) if "metadata" in fields else None,
        rights=parse_rights(fields["rights"]) if "rights" in fields else None,
    )


def _context(fields: dict[str, object]) -> CheckContext:
    return parse_context(
        channel=fields.get("channel"), territory=fields.get("territory"), time=fields.get("time")
    )


def _video_input(submission: Submission) -> VideoInput:
    fields = submission.fields
    given = [name for name in SOURCE_FIELDS if fields.get(name)]
    if submission.upload is not None:
        given.append("file")
    if len(given) != 1:
        raise InvalidRequest("send exactly one of `file`, `link` and `path`")
    if submission.upload is not None:
        return VideoInput(upload=submission.upload)
    value = fields[given[0]]
    if not isinstance(value, str):
        raise InvalidRequest(f"`{given[0]}` must be text")
    return VideoInput(link=_link(value)) if given == ["link"] else VideoInput(path=value)


def _link(value: str, name: str = "link") -> str:
    try:
        parts = urlsplit(value)
    except ValueError as exc:
        raise InvalidRequest(f"`{name}` is not an address: {exc}") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidRequest(f"`{name}` must be an http or https address")
    return value


def _links(value: object, max_items: int) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not 0 < len(value) <= max_items:
        raise InvalidRequest(f"`links` must be a list of 1 to {max_items} addresses")
    return tuple(_link(item if isinstance(item, str) else "", "links") for item in value)


def _id_in_link(link: str) -> str:
    """The uuid that is the file name of a link, or nothing."""
    stem = PurePosixPath(urlsplit(link).path).stem
    try:
        return str(uuid.UUID(stem)) if len(stem) == len(str(uuid.UUID(int=0))) else ""
    except ValueError:
        return ""


def _identifier(fields: dict[str, object]) -> str:
    value = fields.get("id") or ""
    if not isinstance(value, str) or len(value) > ID_MAX_LENGTH or not value.isprintable():
        raise InvalidRequest(f"`id` must be printable text of at most {ID_MAX_LENGTH} characters")
    return value


def _library(value: object) -> str:
    if not isinstance(value, str) or not LIBRARY_PATTERN.fullmatch(value):
        raise InvalidRequest("`library` must be 1-64 letters, digits, '_', '.' or '-'")
    return value


def _text(fields: dict[str, object], name: str) -> str:
    value = fields.get(name) or ""
    if not isinstance(value, str) or len(value) > TEXT_MAX_LENGTH:
        raise InvalidRequest(f"`{name}` must be text of at most {TEXT_MAX_LENGTH} characters")
    return value


def _metadata(value: object) -> Metadata:
    if isinstance(value, str) and value:
        try:
            value = parse_json(value)
        except ValueError as exc:
            raise InvalidRequest("`metadata` is not valid JSON") from exc
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest("`metadata` must be a JSON object")
    return value


def _refuse_unknown(fields: dict[str, object], known: set[str]) -> None:
    unknown = sorted(set(fields) - known)
    if unknown:
        raise InvalidRequest(f"unknown field `{unknown[0]}`; known: {', '.join(sorted(known))}")
