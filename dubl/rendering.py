"""Pages and reports from the templates in `dubl/templates`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from dubl.errors import needs_extra

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, values: Mapping[str, object]) -> str:
    """The text of a template. Values in HTML are escaped; a name without a value is an error.

    Raises ExtraMissing without jinja2.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    with needs_extra():
        from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=PackageLoader("dubl"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
