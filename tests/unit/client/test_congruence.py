"""The three clients: the same methods, and the same answers to the same questions."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import shutil
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest

import dubl
from dubl.client.client import AsyncClient, Client
from dubl.client.errors import ClientError
from dubl.contract.queries import QueueFilters
from dubl.contract.requests import ReviewsItem
from dubl.errors import DublError, NotAVideo
from dubl.ledger.ledger import Ledger
from dubl.local.client import LocalClient
from dubl.settings import load_settings
from dubl.types import Check, Decision, Outcome, Verdict
from tests.support.fake_service import MATCH, WEAK_MATCH, FakeService
from tests.support.http_server import serving

# What only a service has.
SERVICE_ALONE = {
    "submit_check",
    "list_audit",
    "list_holds",
    "hold_check",
    "release_check",
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


CHECKED = Check(
    id="c/1",
    query_name="кот.mp4",
    query_sha256="0" * 64,
    libraries=("main",),
    created_at="2026-01-02T03:04:05.000Z",
    verdict=Verdict(
        outcome=Outcome.DUPLICATE,
        probability=0.97,
        matches=(MATCH, WEAK_MATCH),
        model_id="model@1",
        policy_version="3",
        index_version=7,
        timings_ms={"decode": 12.3456},
    ),
)
# Each is asked of a client; what comes back, or the code of the error, is compared.
QUESTIONS: dict[str, tuple[str, tuple[object, ...], dict[str, object]]] = {
    "checks": ("list_checks", (), {}),
    "checks of an outcome": ("list_checks", (), {"outcome": "unique"}),
    "checks of a wrong outcome": ("list_checks", (), {"outcome": "maybe"}),
    "checks after a wrong cursor": ("list_checks", (), {"cursor": "x"}),
    "a check": ("wait_for_check", ("c/1",), {}),
    "the nearest to no check": ("nearest", ("none",), {}),
    "the nearest": ("nearest", ("c/1",), {"m": 1}),
    "the queue": ("review_queue", (), {"state": "confirmed"}),
    "the queue of an owner": (
        "review_queue",
        (),
        {"filters": QueueFilters(owner="nobody"), "sort": "doubtful", "facets": True},
    ),
    "the queue of a time": (
        "review_queue",
        (),
        {"state": "", "filters": QueueFilters(since="2026-01-02", q="КОТ"), "facets": True},
    ),
    "the queue in no order": ("review_queue", (), {"sort": "best"}),
    "checks by name": ("list_checks", (), {"text": "КОТ", "sha256": "00", "since": "2026"}),
    "checks of no day": ("list_checks", (), {"since": "yesterday"}),
    "a decision after another": (
        "review",
        ("c/1", "ref-1"),
        {"decision": "rejected", "if_state": "open"},
    ),
    "many decisions": (
        "review_many",
        (
            [
                ReviewsItem(
                    check_id="c/1", reference_id="ref-1", decision="rejected", if_state="open"
                )
            ],
        ),
        {"dry_run": True},
    ),
    "reviews": ("list_reviews", (), {"check_id": "c/1"}),
    "a wrong decision": ("review", ("c/1", "ref-1"), {"decision": "burn"}),
    "a comment without words": ("review", ("c/1", "ref-1"), {"decision": "comment"}),
    "a review of no match": ("review", ("c/1", "none"), {"decision": "rejected"}),
    "quarantines": ("list_quarantines", (), {}),
    "no quarantine": ("decide_quarantine", ("none",), {"decision": "keep"}),
    "thresholds": ("get_library_policy", ("fitted",), {}),
    "too few decisions": ("calibrate_library", ("main",), {}),
    "a video without a source": ("register", (), {}),
    "a wrong link": ("check", (), {"link": "ftp://a"}),
    "a wrong place": ("check", (), {"link": "http://a/b.mp4", "territory": "Bavaria"}),
    "a wrong library": ("register", (), {"link": "http://a/b.mp4", "library": "a/b"}),
    "no change": ("update_reference", ("none",), {}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of one reviewed check, and of a library with thresholds of its own."""
    data = tmp_path_factory.mktemp("data")
    ledger = Ledger(load_settings(overrides=[f"data_dir={data}"], environment={}).ledger_path)
    ledger.record_check(CHECKED)
    ledger.reviews.record("c/1", "ref-1", decision=Decision.CONFIRMED, reviewer="anna", note="seen")
    ledger.policies.adopt("fitted", duplicate=0.8, review=0.4, decisions=40)
    ledger.close()
    return data


@pytest.fixture(scope="module")
def clients(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Callable[[str], Callable[..., object]]]]:
    """Three ways to ask: a service with these data, awaited and not, and a copy of them."""
    copy = tmp_path_factory.mktemp("copy") / "data"
    shutil.copytree(folder, copy)
    service = FakeService(folder)
    with (
        serving(service.app()) as address,
        Client(address) as client,
        LocalClient(copy) as local,
    ):

        def awaited(name: str) -> Callable[..., object]:
            async def ask(*args: object, **kwargs: object) -> object:
                async with AsyncClient(address) as asked:
                    answer: Coroutine[object, object, object] = getattr(asked, name)(
                        *args, **kwargs
                    )
                    return await answer

            return lambda *args, **kwargs: asyncio.run(ask(*args, **kwargs))

        yield {
            "waits": lambda name: getattr(client, name),
            "awaits": awaited,
            "folder": lambda name: getattr(local, name),
        }


@pytest.mark.parametrize("question", QUESTIONS)
def test_all_three_answer_alike(
    clients: dict[str, Callable[[str], Callable[..., object]]], question: str
) -> None:
    name, args, kwargs = QUESTIONS[question]
    answers = []
    for asked in clients.values():
        try:
            answers.append(asked(name)(*args, **kwargs))
        except (DublError, ClientError) as exc:
            answers.append(exc.code)
    assert answers[0] == answers[1] == answers[2]


def test_a_local_file_whose_name_is_no_utf8_is_read_like_any_other(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.mp4"))
    odd.write_bytes(b"no video at all" * 100)
    with LocalClient(tmp_path / "data") as client:
        for ask in (client.check, client.register):
            with pytest.raises(NotAVideo):
                ask(odd)
    assert odd.exists()
    spool = tmp_path / "data" / "spool"
    assert list(spool.iterdir()) == []
