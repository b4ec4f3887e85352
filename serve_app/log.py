"""Logging of replicas."""

from __future__ import annotations

import logging

from dubl.errors import DublError, InputError


class NoTraces(logging.Filter):
    """Serve logs whatever a step raises with its trace. A domain error is one line: the caller
    handles it, and a request's own fault is no error of the service.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        raised = record.exc_info[1] if record.exc_info else None
        error = getattr(raised, "cause", raised)  # RayTaskError carries that of another step
        if isinstance(error, DublError):
            level = level_of(error)
            record.levelno, record.levelname = level, logging.getLevelName(level)
            record.msg, record.args = "%s: %s", (error.code, error.detail)
            record.exc_info = record.exc_text = None
        return True


def level_of(error: DublError) -> int:
    """The level of an error's line."""
    return logging.INFO if isinstance(error, InputError) else logging.WARNING


def use_serve_log() -> None:
    """Sends our log lines to Serve's log, with Serve's request id."""
    serve = logging.getLogger("ray.serve")
    if not any(isinstance(one, NoTraces) for one in serve.filters):
        serve.addFilter(NoTraces())
    for name in ("dubl", "serve_app"):
        logging.getLogger(name).parent = serve
