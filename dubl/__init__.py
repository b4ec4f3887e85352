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
    from dubl.client.client import AsyncClient as AsyncClient
    from dubl.client.client import Client as Client
    from dubl.client.errors import ApiError as ApiError
    from dubl.client.errors import ClientError as ClientError
    from dubl.client.errors import JobFailed as JobFailed
    from dubl.client.errors import NotReachable as NotReachable
    from dubl.client.errors import StillRunning as StillRunning
    from dubl.client.exchange import Retries as Retries
    from dubl.client.webhooks import read_webhook as read_webhook
    from dubl.contract.bodies import Accepted as Accepted
    from dubl.contract.bodies import Calibration as Calibration
    from dubl.contract.bodies import Check as Check
    from dubl.contract.bodies import Context as Context
    from dubl.contract.bodies import Delivery as Delivery
    from dubl.contract.bodies import Evidence as Evidence
    from dubl.contract.bodies import ExcludedSegment as ExcludedSegment
    from dubl.contract.bodies import FrameFound as FrameFound
    from dubl.contract.bodies import FrameSpan as FrameSpan
    from dubl.contract.bodies import Job as Job
    from dubl.contract.bodies import Key as Key
    from dubl.contract.bodies import Library as Library
    from dubl.contract.bodies import LibraryPolicy as LibraryPolicy
    from dubl.contract.bodies import LicenseWindow as LicenseWindow
    from dubl.contract.bodies import Match as Match
    from dubl.contract.bodies import MissingReference as MissingReference
    from dubl.contract.bodies import NewKey as NewKey
    from dubl.contract.bodies import Page as Page
    from dubl.contract.bodies import Quarantine as Quarantine
    from dubl.contract.bodies import Readiness as Readiness
    from dubl.contract.bodies import Reference as Reference
    from dubl.contract.bodies import Review as Review
    from dubl.contract.bodies import ReviewItem as ReviewItem
    from dubl.contract.bodies import ReviewQueue as ReviewQueue
    from dubl.contract.bodies import Rights as Rights
    from dubl.contract.bodies import Ruling as Ruling
    from dubl.contract.bodies import Segment as Segment
    from dubl.contract.bodies import Spaces as Spaces
    from dubl.contract.bodies import SpaceSwitch as SpaceSwitch
    from dubl.contract.bodies import WebhookEvent as WebhookEvent
    from dubl.errors import DublError as DublError
    from dubl.local.client import LocalClient as LocalClient
    from dubl.rights.terms import Action as Action

# As above, for when the program runs.
_PLACES = {
    "dubl.client.client": "AsyncClient Client",
    "dubl.client.errors": "ApiError ClientError JobFailed NotReachable StillRunning",
    "dubl.client.exchange": "Retries",
    "dubl.client.webhooks": "read_webhook",
    "dubl.contract.bodies": (
        "Accepted Calibration Check Context Delivery Evidence ExcludedSegment FrameFound "
        "FrameSpan Job Key Library LibraryPolicy LicenseWindow Match MissingReference NewKey Page "
        "Quarantine Readiness Reference Review ReviewItem ReviewQueue Rights Ruling Segment "
        "Spaces SpaceSwitch WebhookEvent"
    ),
    "dubl.errors": "DublError",
    "dubl.local.client": "LocalClient",
    "dubl.rights.terms": "Action",
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names.split()}
__all__ = list(_MODULES)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'dubl' has no attribute '{name}'")
    from dubl.errors import needs_extra

    with needs_extra():
        return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
