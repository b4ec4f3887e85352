"""Logging of replicas."""

from __future__ import annotations

import logging


def use_serve_log() -> None:
    """Sends our log lines to Serve's log, with Serve's request id."""
    for name in ("dubl", "serve_app"):
        logging.getLogger(name).parent = logging.getLogger("ray.serve")
