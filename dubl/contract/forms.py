"""Forms: the fields of a request, checked by pydantic. Errors name every wrong field."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from dubl.contract.strict_json import parse_json
from dubl.errors import InvalidRequest, InvalidRights

Filled = TypeVar("Filled", bound=BaseModel)

NAME_MAX_LENGTH = 256
TEXT_MAX_LENGTH = 4096
LIBRARY_PATTERN = re.compile(r"[\w.-]{1,64}")
MAX_ENTRIES = 1000
MAX_ERRORS_SHOWN = 5
RIGHTS_FIELDS = frozenset({"rights", "channel", "territory", "time"})


def wrong(text: str) -> PydanticCustomError:
    """An error whose message follows the name of the field."""
    return PydanticCustomError("wrong", "{text}", {"text": text})


class Form(BaseModel):
    """Null and empty text mean that a field is not given. An object may come as JSON text."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        value = {} if value is None or value == "" else unpacked(value)
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise wrong(f"must be an object with {', '.join(known)}")
        unknown = sorted(str(name) for name in value if name not in known)
        if unknown:
            raise wrong(f"has no field `{unknown[0]}`; known: {', '.join(known)}")
        return {name: one for name, one in value.items() if one is not None and one != ""}


def read_form(
    kind: type[Filled],
    value: object,
    *,
    name: str = "body",
    error: type[InvalidRequest] | None = None,
) -> Filled:
    """Raises InvalidRequest, or InvalidRights if all wrong fields are of rights; or `error`."""
    try:
        return kind.model_validate(value)
    except ValidationError as exc:
        found = exc.errors(include_url=False, include_input=False, include_context=False)
        of_rights = all(one["loc"] and one["loc"][0] in RIGHTS_FIELDS for one in found)
        said = "; ".join(_sentence(one, name) for one in found[:MAX_ERRORS_SHOWN])
        raise (error or (InvalidRights if of_rights else InvalidRequest))(said) from exc


def _sentence(error: ErrorDetails, name: str) -> str:
    parts = error["loc"][1:] if error["loc"][:1] == ("rights",) else error["loc"]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    at_rights = "rights" if error["loc"] else name
    said = error["msg"] if error["type"] == "wrong" else f"is wrong: {error['msg']}"
    return f"`{path.removeprefix('.') or at_rights}` {said}"


def unpacked(value: object) -> object:
    """Fields of a form and columns of a list hold JSON as text."""
    if not isinstance(value, str) or not value.strip():
        return value
    try:
        return parse_json(value)
    except ValueError as exc:
        raise wrong("is not valid JSON") from exc


def text(max_length: int, *, printable: bool = False) -> BeforeValidator:
    kind = "printable text" if printable else "text"

    def checked(value: object) -> str:
        if not isinstance(value, str) or len(value) > max_length:
            raise wrong(f"must be {kind} of at most {max_length} characters")
        if printable and not value.isprintable():
            raise wrong(f"must be {kind} of at most {max_length} characters")
        return value

    return BeforeValidator(checked)


def _address(value: str) -> str:
    try:
        parts = urlsplit(value)
    except ValueError as exc:
        raise wrong(f"is not an address: {exc}") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise wrong("must be an http or https address")
    return value


def _library(value: object) -> str:
    if not isinstance(value, str) or not LIBRARY_PATTERN.fullmatch(value):
        raise wrong("must be 1-64 letters, digits, '_', '.' or '-'")
    return value


def _seconds(value: object) -> float:
    try:
        seconds = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    if isinstance(value, bool) or not math.isfinite(seconds) or seconds < 0:
        raise wrong("must be seconds, 0 or more")
    return seconds


def _items(value: object) -> Sequence[object]:
    value = unpacked(value)
    if not isinstance(value, list | tuple) or len(value) > MAX_ENTRIES:
        raise wrong(f"must be a list of at most {MAX_ENTRIES} entries")
    return value


def _object(value: object) -> Mapping[str, object]:
    value = unpacked(value)
    if not isinstance(value, dict):
        raise wrong("must be a JSON object")
    return value


# Ends of addresses below a check or a reference: an id that ends so could not be read back.
PARTS = ("picture", "video", "evidence", "matrix", "matrix.png", "nearest", "hold")


def composed(value: str) -> str:
    """The same text in one spelling: "é" may be one character (NFC) or two (NFD)."""
    return unicodedata.normalize("NFC", value)


def _identifier(value: str) -> str:
    steps = value.split("/")
    if {".", ".."} & set(steps):
        raise wrong("must not have '.' or '..' between slashes")
    if len(steps) > 1 and (steps[-1] in PARTS or "matches" in steps[1:]):
        raise wrong(f"must not end in /{steps[-1]}, nor contain /matches/, as addresses do")
    return composed(value)


Composed = Annotated[str, AfterValidator(composed)]
Name = Annotated[str, Field(max_length=NAME_MAX_LENGTH), text(NAME_MAX_LENGTH, printable=True)]
Identifier = Annotated[Name, AfterValidator(_identifier)]
Text = Annotated[str, Field(max_length=TEXT_MAX_LENGTH), text(TEXT_MAX_LENGTH)]
Address = Annotated[str, AfterValidator(_address), text(TEXT_MAX_LENGTH)]
LibraryField = Annotated[str, BeforeValidator(_library)]
Seconds = Annotated[float, Field(ge=0), BeforeValidator(_seconds)]
Listed = BeforeValidator(_items)
Object = Annotated[dict[str, object], BeforeValidator(_object)]
