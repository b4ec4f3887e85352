"""The page of all settings, made from their model: `python -m tests.support.settings_page`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from dubl.settings import Settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operate" / "settings.md"
HEAD = """# Settings

All keys with their defaults. A later source overrides an earlier one:

1. the defaults of this page,
2. a settings file: `configs/local.yaml`, `configs/cluster.yaml`, or your own (`--config`),
3. the environment: `DUBL__SECTION__KEY`, for example `DUBL__MEDIA__MAX_SIZE_BYTES=1000000000`,
4. `--set section.key=value`, for `dubl serve` and the jobs.

Values of the environment and of `--set` are read as YAML. An unknown key is an error that names it.
Secrets are read from the environment only.

`data_dir` (default `data`) is the folder of library, ledger, spool and kept files.
"""


def settings_page() -> str:
    """The page as Markdown."""
    sections = [
        _section(name, field.annotation)
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    ]
    return "\n".join([HEAD, *sections])


def _section(name: str, model: type[BaseModel]) -> str:
    about = _linked(" ".join((model.__doc__ or "").split()))
    rows = [_row(key, field) for key, field in _keys(model)]
    head = ["| key | default | values | meaning |", "|---|---|---|---|"]
    return "\n".join([f"## {name}", "", about, "", *head, *rows, ""])


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """The keys of a section, and those of sections in it by their whole names."""
    for key, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _keys(kind, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", field


def _row(key: str, field: FieldInfo) -> str:
    meaning = _linked((field.description or "").replace("|", "\\|"))
    return f"| `{key}` | {_default(field.default)} | {_values(field)} | {meaning} |"


def _linked(text: str) -> str:
    """Pages that the text names, as links from this page."""
    return re.sub(r"docs/(\w+)/([\w-]+)\.md", r"[\2](../\1/\2.md)", text)


def _default(value: object) -> str:
    if isinstance(value, SecretStr):
        return "secret"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float):
        return f"{value:,.12g}"
    if isinstance(value, str):
        return f"`{value}`" if value else "empty"
    return f"`{json.dumps(value)}`"


def _values(field: FieldInfo) -> str:
    """Choices, or bounds."""
    kind = field.annotation
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return ""
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    bounds = [
        f"{sign} {getattr(rule, name):g}"
        for rule in field.metadata
        for name, sign in signs.items()
        if getattr(rule, name, None) is not None
    ]
    return ", ".join(bounds)


if __name__ == "__main__":
    PAGE.write_text(settings_page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
