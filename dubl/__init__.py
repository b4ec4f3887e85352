"""Dubl: checks whether an uploaded video copies a video of a library.

    from dubl import Client

    with Client("http://localhost:8000") as dubl:
        print(dubl.check("upload.mp4").outcome)

Names are loaded on first use. `Client` and `AsyncClient` need only httpx and pydantic,
`LocalClient` needs the extra `serve`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dubl.client.client import AsyncClient, Client
    from dubl.client.errors import ApiError, ClientError, JobFailed, NotReachable, StillRunning
    from dubl.client.exchange import Retries
    from dubl.client.webhooks import read_webhook
    from dubl.contract.bodies import (
        Accepted,
        Calibration,
        Check,
        Context,
        Delivery,
        Evidence,
        ExcludedSegment,
        FrameFound,
        Job,
        Key,
        Library,
        LibraryPolicy,
        LicenseWindow,
        Match,
        MissingReference,
        NewKey,
        Page,
        Quarantine,
        Readiness,
        Reference,
        Review,
        ReviewItem,
        ReviewQueue,
        Rights,
        Ruling,
        Segment,
        Spaces,
        SpaceSwitch,
        WebhookEvent,
    )
    from dubl.errors import DublError
    from dubl.local.client import LocalClient
    from dubl.rights.terms import Action

__all__ = [
    "Accepted",
    "Action",
    "ApiError",
    "AsyncClient",
    "Calibration",
    "Check",
    "Client",
    "ClientError",
    "Context",
    "Delivery",
    "DublError",
    "Evidence",
    "ExcludedSegment",
    "FrameFound",
    "Job",
    "JobFailed",
    "Key",
    "Library",
    "LibraryPolicy",
    "LicenseWindow",
    "LocalClient",
    "Match",
    "MissingReference",
    "NewKey",
    "NotReachable",
    "Page",
    "Quarantine",
    "Readiness",
    "Reference",
    "Retries",
    "Review",
    "ReviewItem",
    "ReviewQueue",
    "Rights",
    "Ruling",
    "Segment",
    "SpaceSwitch",
    "Spaces",
    "StillRunning",
    "WebhookEvent",
    "read_webhook",
]

_BODIES = "dubl.contract.bodies"
_PLACES = {
    "Client": "dubl.client.client",
    "AsyncClient": "dubl.client.client",
    "LocalClient": "dubl.local.client",
    "ApiError": "dubl.client.errors",
    "ClientError": "dubl.client.errors",
    "JobFailed": "dubl.client.errors",
    "NotReachable": "dubl.client.errors",
    "StillRunning": "dubl.client.errors",
    "DublError": "dubl.errors",
    "Action": "dubl.rights.terms",
    "Retries": "dubl.client.exchange",
    "read_webhook": "dubl.client.webhooks",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'dubl' has no attribute '{name}'")
    from dubl.errors import needs_extra

    with needs_extra():
        return getattr(import_module(_PLACES.get(name, _BODIES)), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
