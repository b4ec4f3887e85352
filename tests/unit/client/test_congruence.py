"""The three clients: the same methods, and the same answers to the same questions."""

from __future__ import annotations

import importlib
import inspect

import pytest

import dubl
from dubl.client.client import AsyncClient, Client
from dubl.local.client import LocalClient

LINK = "https://example.org/clips/a.mp4"
# What only a service has.
SERVICE_ALONE = {
    "submit_check",
    "get_evidence",
    "download",
    "save",
    "submit_batch",
    "get_job",
    "wait_for_job",
    "list_jobs",
    "cancel_job",
    "requeue_job",
    "list_deliveries",
    "replay_delivery",
    "create_key",
    "list_keys",
    "revoke_key",
    "list_spaces",
    "missing_references",
    "switch_space",
    "roll_back_space",
    "readiness",
}


def signatures(kind: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(method)
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and name not in ("close", "aclose")
    }


def test_all_three_have_the_same_methods() -> None:
    awaited = signatures(AsyncClient)
    assert signatures(Client) == awaited
    assert not any(map(inspect.iscoroutinefunction, map(Client.__dict__.get, awaited)))
    local = signatures(LocalClient)
    assert local.keys() == awaited.keys() - SERVICE_ALONE
    assert local == {name: awaited[name] for name in local}


def test_every_public_name_is_there() -> None:
    fresh = importlib.import_module("dubl")
    assert {name: getattr(fresh, name).__name__ for name in dubl.__all__}.keys() <= set(dir(fresh))
    with pytest.raises(AttributeError, match="no attribute 'Clients'"):
        fresh.Clients  # noqa: B018
