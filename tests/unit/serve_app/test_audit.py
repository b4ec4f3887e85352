"""Claims about the audit log: what is in it, what is not, and who reads it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request
from starlette.types import Message, Send
from starlette.types import Scope as AsgiScope

from dubl.contract.orders import CheckOrder, VideoInput
from dubl.contract.requests import ReviewsRequest
from dubl.errors import StoreUnavailable
from dubl.ledger.audit import Audit
from dubl.types import AuditEntry, Scope
from serve_app.api.access import Principal
from serve_app.api.audit import AuditTrail
from serve_app.api.reviews import review_many
from serve_app.api.routes import is_audited
from tests.support.fake_service import MATCH, FakeService


@pytest.fixture
def service(tmp_path: Path) -> FakeService:
    return FakeService(tmp_path, "access.refresh_s=0")


@pytest.fixture
def client(service: FakeService) -> TestClient:
    client = TestClient(service.app(keys_required=True), raise_server_exceptions=False)
    client.headers["Authorization"] = f"Bearer {service.issue(Scope.ADMIN)}"
    return client


def _actions(client: TestClient, **query: str) -> list[str]:
    return [each["action"] for each in client.get("/v1/audit", params=query).json()["items"]]


def test_what_was_done_is_listed_with_its_key(client: TestClient) -> None:
    made = client.post("/v1/keys", json={"name": "ключ", "scopes": ["check"]}).json()
    revoked = client.delete(f"/v1/keys/{made['key']['id']}")
    assert client.get("/v1/ledger").status_code == 200
    client.delete("/v1/keys/none")  # refused: nothing was done
    client.get("/v1/keys")  # a look
    newest, before, first = client.get("/v1/audit").json()["items"]
    assert first["action"] == "POST /v1/keys"
    assert newest["action"] == "GET /v1/ledger"
    assert before["action"] == "DELETE /v1/keys/{key_id}"
    assert before["path"] == f"/v1/keys/{made['key']['id']}"
    assert before["request_id"] == revoked.headers["X-Request-ID"]
    mine = client.headers["Authorization"].split("_")[1]
    assert {first["key_id"], before["key_id"], newest["key_id"]} == {mine}
    assert len(_actions(client, key_id=mine)) == 3
    assert _actions(client, key_id="other") == []
    assert _actions(client, since=newest["created_at"])[0] == "GET /v1/ledger"
    assert _actions(client, since="2999-01-01T00:00:00.000Z") == []


def test_each_route_that_changes_something_is_listed(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    silent = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
        if method != "get" and not is_audited(method.upper(), path)
    }
    assert silent == {
        ("POST", "/check-video-duplicate"),
        ("POST", "/v1/batches"),
        ("POST", "/v1/checks"),
        ("POST", "/v1/references"),
        ("POST", "/v1/search/frame"),
    }, "submissions, which are jobs with their key, and questions"


def test_a_preview_of_decisions_is_not_listed(service: FakeService, client: TestClient) -> None:
    service.ledger.record_check(service.verdict_on(CheckOrder(id="c", video=VideoInput())))
    items = [{"check_id": "c", "reference_id": MATCH.reference_id, "decision": "confirmed"}]
    for dry_run in (True, False):
        told = client.post("/v1/reviews/many", json={"items": items, "dry_run": dry_run})
        assert told.status_code == 200, told.text
    assert _actions(client) == ["POST /v1/reviews/many"]


def test_an_address_with_a_slash_too_many_is_led_on_and_nothing_is_listed(
    client: TestClient,
) -> None:
    answer = client.post("/v1/reviews/", json={}, follow_redirects=False)
    assert answer.status_code == 307
    assert _actions(client) == []


def test_a_log_that_cannot_be_written_undoes_nothing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_self: Audit, _entry: object) -> None:
        raise StoreUnavailable("full")

    fail.__qualname__ = "Audit.add"  # the ledger's parts are found by it
    monkeypatch.setattr(Audit, "add", fail)
    assert client.post("/v1/keys", json={"name": "a", "scopes": ["check"]}).status_code == 201
    assert "POST /v1/keys" in caplog.text


def _kept_of_a_broken_call(*, begun: bool, **state: bool) -> list[str]:
    """The entries of a call whose caller goes away, before or after its answer has begun."""
    kept = []

    class Kept:
        async def ask(self, _method: object, entry: AuditEntry) -> None:
            kept.append(entry.action)

    async def app(scope: AsgiScope, _receive: object, send: Send) -> None:
        scope["route"] = SimpleNamespace(path="/v1/ledger")
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise asyncio.CancelledError

    async def send(_message: Message) -> None: ...

    scope = {"type": "http", "method": "GET", "path": "/v1/ledger", "headers": []}
    scope["state"] = {"principal": Principal(key_id="k"), **state}
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(AuditTrail(app, ledger=Kept())(scope, None, send))
    return kept


@pytest.mark.parametrize("begun", [False, True])
def test_a_caller_that_goes_away_is_listed_once(begun: bool) -> None:
    assert _kept_of_a_broken_call(begun=begun) == ["GET /v1/ledger"]


def test_a_preview_whose_caller_goes_away_is_not_listed() -> None:
    assert _kept_of_a_broken_call(begun=False, changes_nothing=True) == []


def test_a_preview_says_so_before_the_ledger_looks() -> None:
    """The caller may go away meanwhile."""

    class Gone:
        async def ask(self, *_: object, **__: object) -> None:
            raise asyncio.CancelledError

    request = Request({"type": "http", "state": {"principal": Principal(key_id="k")}})
    items = [{"check_id": "c", "reference_id": "r", "decision": "confirmed"}]
    body = ReviewsRequest.model_validate({"items": items, "dry_run": True})
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(review_many(SimpleNamespace(ledger=Gone()), request, body))
    assert request.state.changes_nothing
