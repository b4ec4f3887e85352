"""From the fields of a request to an order. Errors name the field."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from dubl.contract.forms import Form, LibraryField, read_form
from dubl.contract.orders import (
    BatchOrder,
    CheckOrder,
    ReferenceChange,
    ReferenceOrder,
    Terms,
    VideoInput,
)
from dubl.contract.requests import (
    BatchForm,
    CallbackForm,
    ChangeForm,
    CheckForm,
    LinkForm,
    ReferenceForm,
    VideoForm,
)
from dubl.errors import InvalidRequest
from dubl.types import MAIN_LIBRARY, JobKind, ReferenceDraft
from serve_app.api.uploads import Submission


class _Libraries(Form):
    library: tuple[LibraryField, ...] = ()


def reference_order(submission: Submission) -> ReferenceOrder:
    form = read_form(ReferenceForm, submission.fields)
    draft = ReferenceDraft(
        id=form.id or _id_in_link(form.link) or str(uuid.uuid4()),
        library=form.library,
        title=form.title,
        owner=form.owner,
        metadata=form.metadata,
        rights=form.rights.terms(),
    )
    return ReferenceOrder(video=_video_input(form, submission), draft=draft)


def check_order(submission: Submission, libraries: Iterable[str]) -> CheckOrder:
    form = read_form(CheckForm, submission.fields)
    wanted = [*libraries, *([form.library] if form.library else [])]
    named = read_form(_Libraries, {"library": wanted}).library
    return CheckOrder(
        id=form.id or str(uuid.uuid4()),
        video=_video_input(form, submission),
        libraries=tuple(dict.fromkeys(named)),
        context=form.context(),
    )


def batch_order(submission: Submission, *, max_items: int) -> BatchOrder:
    form = read_form(BatchForm, submission.fields)
    if len(form.links) > max_items:
        raise InvalidRequest(f"`links` must be a list of 1 to {max_items} addresses")
    if bool(form.links) == (submission.upload is not None):
        raise InvalidRequest("send either a zip as `file` or a list of `links`")
    named = form.library or (MAIN_LIBRARY if form.kind is JobKind.REFERENCE else "")
    return BatchOrder(
        id=str(uuid.uuid4()),
        kind=form.kind,
        archive=submission.upload,
        links=form.links,
        libraries=(named,) if named else (),
        owner=form.owner,
        rights=form.rights.terms(),
        context=form.context(),
    )


def terms_of(submission: Submission, *, waits: bool) -> Terms:
    """`waits`: the request stays open until the result."""
    callback = {"callback_url": submission.fields.get("callback_url")}
    return Terms(callback_url=read_form(CallbackForm, callback).callback_url, waits=waits)


def legacy_order(fields: dict[str, object]) -> CheckOrder:
    """The original client's request: `link` only; other fields are ignored."""
    link = read_form(LinkForm, {"link": fields.get("link")}).link
    if not link:
        raise InvalidRequest("`link` is missing")
    return CheckOrder(id=str(uuid.uuid4()), video=VideoInput(link=link), self_id=_id_in_link(link))


def reference_change(fields: dict[str, object]) -> ReferenceChange:
    form = read_form(ChangeForm, fields)
    if not fields:
        raise InvalidRequest("the request changes nothing. Send title, owner, metadata or rights.")
    return ReferenceChange(
        title=form.title if "title" in fields else None,
        owner=form.owner if "owner" in fields else None,
        metadata=form.metadata if "metadata" in fields else None,
        rights=form.rights.terms() if "rights" in fields else None,
    )


def _video_input(form: VideoForm, submission: Submission) -> VideoInput:
    given = [form.link, form.path, submission.upload]
    if sum(map(bool, given)) != 1:
        raise InvalidRequest("send exactly one of `file`, `link` and `path`")
    return VideoInput(upload=submission.upload, link=form.link, path=form.path)


def _id_in_link(link: str) -> str:
    """The UUID that is the file name of a link, or an empty text."""
    stem = PurePosixPath(urlsplit(link).path).stem
    try:
        return str(uuid.UUID(stem)) if len(stem) == len(str(uuid.UUID(int=0))) else ""
    except ValueError:
        return ""
