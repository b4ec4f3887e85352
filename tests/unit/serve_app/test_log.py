"""Claims about what replicas write to their logs."""

from __future__ import annotations

import logging

import pytest

from dubl.errors import CheckNotFound, StoreUnavailable
from serve_app.log import NoTraces


class FromAnotherStep(Exception):
    """Like Ray's error for that of a step further up."""

    def __init__(self, cause: Exception) -> None:
        super().__init__("Traceback of the other step")
        self.cause = cause


@pytest.mark.parametrize(
    ("error", "level", "text"),
    [
        (CheckNotFound("there is no check 'a'"), "INFO", "check_not_found: there is no check 'a'"),
        (StoreUnavailable("away"), "WARNING", "store_unavailable: away"),
        (FromAnotherStep(CheckNotFound("none")), "INFO", "check_not_found: none"),
    ],
)
def test_a_domain_error_of_a_step_is_one_line_without_a_trace(
    error: Exception, level: str, text: str
) -> None:
    (line,) = logged(error)
    assert line == f"{level} {text}"


def test_an_error_that_nobody_foresaw_keeps_its_trace() -> None:
    lines = logged(ZeroDivisionError("by zero"))
    assert lines[0] == "ERROR Request failed."
    assert lines[-1] == "ZeroDivisionError: by zero"


def logged(error: Exception) -> list[str]:
    """The lines that Serve would write for what a replica has raised."""
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.extend(self.format(record).splitlines())

    handler, log = Kept(), logging.Logger("serve")
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    log.addHandler(handler)
    log.addFilter(NoTraces())
    try:
        raise error
    except Exception:
        log.exception("Request failed.")
    return lines
