"""Where log lines of replicas go."""

from __future__ import annotations

import logging


def use_serve_log() -> None:
    """Sends our log lines where Serve's go, with the request id that Serve knows."""
    for name in ("dubl", "serve_app"):
        logging.getLogger(name).parent = logging.getLogger("ray.serve")
