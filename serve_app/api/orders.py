"""From the fields of a request to an order; every wrong field is named."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from dubl.errors import InvalidRequest
from dubl.types import MAIN_LIBRARY, Metadata, ReferenceDraft
from serve_app.api.service import CheckOrder, ReferenceChange, ReferenceOrder, VideoInput
from serve_app.api.uploads import Submission

ID_MAX_LENGTH = 256
TEXT_MAX_LENGTH = 4096
LIBRARY_PATTERN = re.compile(r"[\w.-]{1,64}")
SOURCE_FIELDS = ("link", "path")


def reference_order(submission: Submission) -> ReferenceOrder:
    fields = submission.fields
    _refuse_unknown(fields, {*SOURCE_FIELDS, "id", "library", "title", "owner", "metadata"})
    video = _video_input(submission)
    draft = ReferenceDraft(
        id=_identifier(fields) or _id_in_link(video.link) or str(uuid.uuid4()),
        library=_library(fields.get("library") or MAIN_LIBRARY),
        title=_text(fields, "title"),
        owner=_text(fields, "owner"),
        metadata=_metadata(fields.get("metadata")),
    )
    return ReferenceOrder(video=video, draft=draft)


def check_order(submission: Submission, libraries: Iterable[str]) -> CheckOrder:
    fields = submission.fields
    _refuse_unknown(fields, {*SOURCE_FIELDS, "id", "library", "title", "owner", "metadata"})
    named = [*libraries, *([str(fields["library"])] if fields.get("library") else [])]
    return CheckOrder(
        id=_identifier(fields) or str(uuid.uuid4()),
        video=_video_input(submission),
        libraries=tuple(dict.fromkeys(_library(name) for name in named)),
    )


def legacy_order(fields: dict[str, object]) -> CheckOrder:
    """The original client's request: `link` only, other fields ignored."""
    link = fields.get("link")
    if not isinstance(link, str) or not link:
        raise InvalidRequest("`link` is missing")
    return CheckOrder(
        id=str(uuid.uuid4()), video=VideoInput(link=_link(link)), self_id=_id_in_link(link)
    )


def reference_change(fields: dict[str, object]) -> ReferenceChange:
    _refuse_unknown(fields, {"title", "owner", "metadata"})
    if not fields:
        raise InvalidRequest("nothing to change: send title, owner or metadata")
    return ReferenceChange(
        title=_text(fields, "title") if "title" in fields else None,
        owner=_text(fields, "owner") if "owner" in fields else None,
        metadata=_metadata(fields["metadata"]) if "metadata" in fields else None,
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


def _link(value: str) -> str:
    try:
        parts = urlsplit(value)
    except ValueError as exc:
        raise InvalidRequest(f"`link` is not an address: {exc}") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidRequest("`link` must be an http or https address")
    return value


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
            value = json.loads(value)
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
