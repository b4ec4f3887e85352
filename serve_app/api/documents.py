"""Request bodies in the OpenAPI document. FastAPI cannot derive them, as routes read streams."""

from __future__ import annotations

from dubl.contract.forms import Form
from dubl.contract.requests import (
    BatchForm,
    ChangeForm,
    CheckForm,
    FrameForm,
    LinkForm,
    ReferenceForm,
)
from dubl.media.kinds import FINGERPRINT_TYPE
from serve_app.api.problems import MEDIA_TYPE

_FILE: dict[str, object] = {"file": {"type": "string", "format": "binary"}}
# Its fields are parameters of the address.
_FINGERPRINT: dict[str, object] = {
    FINGERPRINT_TYPE: {"schema": {"type": "string", "format": "binary"}}
}
_SOURCES = {"link", "path", "links"}


_RIGHTS = {"$ref": "#/components/schemas/Rights"}

# In place of FastAPI's own 422, which no route answers.
UNREADABLE: dict[int | str, dict[str, object]] = {
    422: {"description": "The video cannot be used", "content": {MEDIA_TYPE: {}}}
}


def _properties(form: type[Form]) -> dict[str, object]:
    fields = form.model_json_schema()["properties"]
    return {name: _RIGHTS if name == "rights" else _told(fields[name]) for name in fields}


def _told(field: dict[str, object]) -> dict[str, object]:
    """Without empty defaults."""
    empty = field.get("default") in ("", [])
    return {k: v for k, v in field.items() if k != "title" and not (empty and k == "default")}


def _object(properties: dict[str, object], *required: str) -> dict[str, object]:
    schema: dict[str, object] = {"type": "object", "properties": properties}
    return {"schema": schema | ({"required": list(required)} if required else {})}


def _body(content: dict[str, object]) -> dict[str, object]:
    return {"requestBody": {"required": True, "content": content}}


def _submission(form: type[Form], *required: str) -> dict[str, object]:
    """A file with fields, or fields that say where the videos are."""
    fields = _properties(form)
    beside = {name: field for name, field in fields.items() if name not in _SOURCES}
    return _body(
        {
            "multipart/form-data": _object(_FILE | beside, "file"),
            "application/json": _object(fields, *required),
            **({} if form is BatchForm else _FINGERPRINT),
        }
    )


REFERENCE = _submission(ReferenceForm)
CHECK = _submission(CheckForm)
BATCH = _submission(BatchForm, "links")
CHANGE = _body({"application/json": _object(_properties(ChangeForm))})
FRAME = _body({"multipart/form-data": _object(_FILE | _properties(FrameForm), "file")})
LEGACY = _body({"*/*": _object(_properties(LinkForm), "link")})
