"""From the fields of a request to an order. Errors name the field."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from dubl.contract.forms import read_form
from dubl.contract.orders import BatchOrder, CheckOrder, ReferenceOrder, Terms, VideoInput
from dubl.contract.requests import (
    BatchForm,
    CallbackForm,
    CheckForm,
    LinkForm,
    ReferenceForm,
    id_in_link,
)
from dubl.errors import InvalidRequest
from serve_app.api.uploads import Submission


def reference_order(submission: Submission) -> ReferenceOrder:
    return read_form(ReferenceForm, submission.fields).order(submission.upload)


def check_order(submission: Submission, libraries: Iterable[str]) -> CheckOrder:
    return read_form(CheckForm, submission.fields).order(submission.upload, libraries)


def batch_order(submission: Submission, *, max_items: int) -> BatchOrder:
    form = read_form(BatchForm, submission.fields)
    return form.order(submission.upload, max_items=max_items)


def terms_of(submission: Submission, *, waits: bool) -> Terms:
    """`waits`: the request stays open until the result."""
    callback = {"callback_url": submission.fields.get("callback_url")}
    return Terms(callback_url=read_form(CallbackForm, callback).callback_url, waits=waits)


def legacy_order(fields: dict[str, object]) -> CheckOrder:
    """The original client's request: `link` only; other fields are ignored."""
    link = read_form(LinkForm, {"link": fields.get("link")}).link
    if not link:
        raise InvalidRequest("`link` is missing")
    return CheckOrder(id=str(uuid.uuid4()), video=VideoInput(link=link), self_id=id_in_link(link))
