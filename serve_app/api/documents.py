"""Request bodies in the OpenAPI document. Routes read bodies as streams, which FastAPI cannot
see."""

from __future__ import annotations

_TEXT = {"type": "string"}
_FIELDS: dict[str, object] = {
    "id": _TEXT | {"description": "else a uuid; from a link named by a uuid, that uuid"},
    "library": _TEXT | {"default": "main"},
    "title": _TEXT,
    "owner": _TEXT,
    "metadata": {"type": "object"},
    "callback_url": _TEXT | {"description": "told of the end by a signed webhook"},
}
_RIGHTS: dict[str, object] = {"rights": {"$ref": "#/components/schemas/Rights"}}
_CONTEXT: dict[str, object] = {
    "channel": _TEXT | {"description": "where it would be shown; licenses may name channels"},
    "territory": _TEXT | {"description": "country code of two letters"},
    "time": _TEXT | {"format": "date-time", "description": "when it would be shown; else now"},
}
_LINK: dict[str, object] = {"link": _TEXT | {"description": "http(s) address of the video"}}
_PATH: dict[str, object] = {"path": _TEXT | {"description": "file inside media.allowed_roots"}}
_FILE: dict[str, object] = {"file": {"type": "string", "format": "binary"}}


def _body(content: dict[str, object]) -> dict[str, object]:
    return {"requestBody": {"required": True, "content": content}}


def _json(properties: dict[str, object], *required: str) -> dict[str, object]:
    schema: dict[str, object] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    return {"schema": schema}


def _submission(fields: dict[str, object]) -> dict[str, object]:
    return _body(
        {
            "multipart/form-data": _json(_FILE | fields, "file"),
            "application/json": _json(_LINK | _PATH | fields),
        }
    )


REFERENCE = _submission(_FIELDS | _RIGHTS)
CHECK = _submission(_FIELDS | _CONTEXT)
_CHANGED = {name: _FIELDS[name] for name in ("title", "owner", "metadata")} | _RIGHTS
CHANGE = _body({"application/json": _json(_CHANGED)})
_INSTANT: dict[str, object] = {
    "time_s": {"type": "number", "default": 0, "description": "which frame of a video is meant"}
}
_LIBRARY = {"library": _FIELDS["library"]}
FRAME = _body({"multipart/form-data": _json(_FILE | _INSTANT | _LIBRARY, "file")})
LEGACY = _body({"*/*": _json(_LINK, "link")})
_BATCH_FIELDS: dict[str, object] = {
    "kind": {"type": "string", "enum": ["check", "reference"], "default": "check"},
    **{name: _FIELDS[name] for name in ("library", "owner", "callback_url")},
    **_RIGHTS,
    **_CONTEXT,
}
BATCH = _body(
    {
        "multipart/form-data": _json(_FILE | _BATCH_FIELDS, "file"),
        "application/json": _json(
            {"links": {"type": "array", "items": _TEXT, "minItems": 1}} | _BATCH_FIELDS, "links"
        ),
    }
)
