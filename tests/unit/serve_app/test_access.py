"""Who may do what: keys, scopes, libraries, limits, and what is looked at before a body is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from dubl.contract.orders import CheckOrder
from dubl.errors import ConfigurationError, RateLimited, Unauthorized
from dubl.ledger.api_keys import (
    ApiKeys,
    make_key,
    recognize,
    recognize_session,
    sign_session,
)
from dubl.settings import AccessSettings
from dubl.types import ApiKey, ReferenceDraft, Scope
from serve_app.api.limits import RequestLimit, UploadQuota, day_allowance
from serve_app.api.routes import is_open, scopes_for
from serve_app.api.start_rules import is_loopback, keys_required, require_admin_key
from tests.support.fake_service import FakeService

LINK = "https://example.org/a.mp4"
WAIT = {"Prefer": "wait=30"}
LIMIT_BYTES = 10_000
ADMINISTRATORS = (
    "/v1/keys",
    "/v1/audit",
    "/v1/ledger",
    "/v1/deliveries",
    "/v1/libraries/",
    "/v1/spaces",
)


@pytest.fixture
def service(tmp_path: Path) -> FakeService:
    return FakeService(tmp_path, f"media.max_size_bytes={LIMIT_BYTES}", "access.refresh_s=0")


@pytest.fixture
def keys(service: FakeService) -> FakeService:
    return service


@pytest.fixture
def app(service: FakeService) -> FastAPI:
    return service.app(keys_required=True)


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": "Bearer dubl_000000000000_" + "x" * 43},
        {"X-API-Key": "dubl__"},
    ],
)
def test_without_a_valid_key_nothing_is_answered(
    client: TestClient, keys: FakeService, headers: dict[str, str]
) -> None:
    keys.issue(Scope.ADMIN)
    answer = client.get("/v1/references", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "unauthorized"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


def test_a_key_works_in_either_header_until_it_is_revoked(
    client: TestClient, keys: FakeService
) -> None:
    token = keys.issue(Scope.CHECK)
    for headers in (bearer(token), {"X-API-Key": token}):
        assert client.get("/v1/checks", headers=headers).status_code == 200
    key_id = token.split("_")[1]
    admin = bearer(keys.issue(Scope.ADMIN))
    assert client.delete(f"/v1/keys/{key_id}", headers=admin).json()["revoked_at"]
    assert client.get("/v1/checks", headers=bearer(token)).status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json"])
def test_probes_and_the_contract_are_open(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    ("scope", "method", "path", "allowed"),
    [
        (Scope.CHECK, "POST", "/v1/checks", True),
        (Scope.CHECK, "POST", "/v1/references", False),
        (Scope.CHECK, "DELETE", "/v1/references/a", False),
        (Scope.CHECK, "GET", "/v1/references", True),
        (Scope.REGISTER, "POST", "/v1/references", True),
        (Scope.REGISTER, "POST", "/v1/checks", False),
        (Scope.REVIEW, "POST", "/v1/checks", False),
        (Scope.REVIEW, "GET", "/v1/checks", True),
        (Scope.REVIEW, "POST", "/v1/reviews", True),
        (Scope.CHECK, "POST", "/v1/reviews", False),
        (Scope.CHECK, "GET", "/v1/keys", False),
        (Scope.ADMIN, "GET", "/v1/keys", True),
        (Scope.ADMIN, "POST", "/v1/checks", True),
        (Scope.CHECK, "GET", "/metrics", True),
        (Scope.REVIEW, "GET", "/a/route/that/is/new", False),
        (Scope.ADMIN, "GET", "/a/route/that/is/new", True),
        (Scope.CHECK, "GET", "/v1/checksums", False),
    ],
)
def test_a_scope_allows_its_routes_and_no_others(
    scope: Scope, method: str, path: str, allowed: bool
) -> None:
    assert (scope in scopes_for(method, path)) is allowed


def test_every_route_of_the_contract_is_decided_on(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for method in operations:
            decided = is_open(path) or scopes_for(method.upper(), path) != {Scope.ADMIN}
            assert decided or path.startswith(ADMINISTRATORS), (method, path)


def test_a_scope_that_is_missing_is_forbidden_by_name(
    client: TestClient, keys: FakeService
) -> None:
    answer = client.post(
        "/v1/references", json={"link": LINK}, headers=bearer(keys.issue(Scope.CHECK))
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "/v1/references" in answer.json()["detail"]


def test_a_key_of_one_library_neither_sees_nor_changes_another(
    client: TestClient, keys: FakeService
) -> None:
    both = bearer(keys.issue(Scope.REGISTER, Scope.CHECK))
    films = bearer(keys.issue(Scope.REGISTER, Scope.CHECK, libraries=["films"]))
    for name, library in (("a", "main"), ("b", "films")):
        body = {"link": LINK, "id": name, "library": library}
        assert client.post("/v1/references", json=body, headers=both | WAIT).status_code == 201

    assert client.get("/v1/references/b", headers=films).status_code == 200
    for method in ("GET", "DELETE"):
        assert client.request(method, "/v1/references/a", headers=films).status_code == 404
    change = client.patch("/v1/references/a", json={"title": "mine"}, headers=films)
    assert change.status_code == 404
    listed = client.get("/v1/references", headers=films).json()["items"]
    assert [item["id"] for item in listed] == ["b"]
    assert client.get("/v1/references?library=main", headers=films).status_code == 403
    names = client.get("/v1/libraries", headers=films).json()["items"]
    assert [item["name"] for item in names] == ["films"]
    body = {"link": LINK, "id": "c", "library": "main"}
    assert client.post("/v1/references", json=body, headers=films).status_code == 403


def test_a_check_with_the_key_of_a_library_looks_into_that_one_only(
    client: TestClient, keys: FakeService, service: FakeService
) -> None:
    films = bearer(keys.issue(Scope.CHECK, libraries=["films"]))
    everywhere = bearer(keys.issue(Scope.CHECK))
    mine = client.post("/v1/checks", json={"link": LINK}, headers=films | WAIT).json()
    assert mine["libraries"] == ["films"]
    assert client.get(f"/v1/checks/{mine['id']}", headers=films).status_code == 200
    theirs = client.post("/v1/checks", json={"link": LINK}, headers=everywhere | WAIT).json()
    assert client.get(f"/v1/checks/{theirs['id']}", headers=films).status_code == 404
    listed = client.get("/v1/checks", headers=films).json()["items"]
    assert [item["id"] for item in listed] == [mine["id"]]
    refused = client.post("/v1/checks?library=main", json={"link": LINK}, headers=films)
    assert refused.status_code == 403
    client.post("/check-video-duplicate", json={"link": LINK}, headers=films)
    assert service.orders[-1].libraries == ("films",)


def test_only_a_reference_that_the_key_sees_is_compared(
    client: TestClient, keys: FakeService, service: FakeService
) -> None:
    service.library.add(ReferenceDraft(id="film", library="films"))
    service.library.add(ReferenceDraft(id="song", library="songs"))
    films = bearer(keys.issue(Scope.CHECK, libraries=["films"]))
    for reference_id, status in {"film": 200, "song": 404, "none": 404}.items():
        sent = {"link": LINK, "reference_id": reference_id}
        answer = client.post("/v1/checks", json=sent, headers=films | WAIT)
        assert answer.status_code == status, answer.json()
    (order,) = service.orders
    assert isinstance(order, CheckOrder)
    assert (order.reference_id, order.libraries) == ("film", ("films",))


def test_a_batch_needs_the_scope_and_the_library_of_what_is_in_it(
    client: TestClient, keys: FakeService, service: FakeService
) -> None:
    films = bearer(keys.issue(Scope.CHECK, libraries=["films"]))
    body: dict[str, object] = {"links": [LINK]}
    assert client.post("/v1/batches", json=body, headers=films).status_code == 202
    assert service.orders[-1].libraries == ("films",)
    for wrong in ({"kind": "reference", "library": "films"}, {"library": "main"}):
        answer = client.post("/v1/batches", json=body | wrong, headers=films)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_jobs_about_other_libraries_are_not_there(client: TestClient, keys: FakeService) -> None:
    films = bearer(keys.issue(Scope.CHECK, libraries=["films"]))
    everywhere = bearer(keys.issue(Scope.CHECK))
    job = client.post("/v1/checks", json={"link": LINK}, headers=everywhere).json()["job_id"]
    for method, path in (
        ("GET", f"/v1/jobs/{job}"),
        ("GET", f"/v1/jobs/{job}/events"),
        ("DELETE", f"/v1/jobs/{job}"),
        ("POST", f"/v1/jobs/{job}/requeue"),
    ):
        assert client.request(method, path, headers=films).status_code == 404, path
    assert client.get("/v1/jobs", headers=films).json()["items"] == []
    assert client.get(f"/v1/jobs/{job}", headers=everywhere).status_code == 200


def test_a_new_key_is_shown_once_and_kept_as_a_hash(client: TestClient, keys: FakeService) -> None:
    admin = bearer(keys.issue(Scope.ADMIN))
    wanted = {"name": "upload pipeline", "scopes": ["check"], "libraries": ["films"]}
    made = client.post("/v1/keys", json=wanted, headers=admin)
    assert made.status_code == 201
    token = made.json()["token"]
    secret = token.split("_", 2)[2]
    assert client.get("/v1/checks", headers=bearer(token)).status_code == 200
    shown = client.get("/v1/keys", headers=admin).text
    assert made.json()["key"]["prefix"] in shown
    assert secret not in shown
    assert secret not in repr(keys.ledger.keys.list())
    for wrong in ({}, {"name": "a", "scopes": []}, {"name": "a", "scopes": ["king"]}):
        assert client.post("/v1/keys", json=wrong, headers=admin).status_code == 400


def test_requests_over_the_limit_say_when_to_come_again(
    client: TestClient, keys: FakeService
) -> None:
    key = bearer(keys.issue(Scope.CHECK, requests_per_minute=2))
    first = client.get("/v1/checks", headers=key)
    assert first.headers["RateLimit-Policy"] == '"minute";q=2;w=60'
    assert first.headers["RateLimit"].startswith('"minute";r=1;t=')
    client.get("/v1/checks", headers=key)
    over = client.get("/v1/checks", headers=key)
    assert (over.status_code, over.json()["code"]) == (429, "rate_limited")
    assert 0 < int(over.headers["Retry-After"]) <= 30
    assert over.headers["RateLimit"] == f'"minute";r=0;t={over.headers["Retry-After"]}'
    other = bearer(keys.issue(Scope.CHECK))
    assert client.get("/v1/checks", headers=other).status_code == 200


def test_a_key_sends_no_more_bytes_a_day_than_it_may(tmp_path: Path) -> None:
    keys = FakeService(tmp_path, "access.upload_bytes_per_day=3000")
    client = TestClient(keys.app(keys_required=True), raise_server_exceptions=False)
    key, other = bearer(keys.issue(Scope.CHECK)), bearer(keys.issue(Scope.CHECK))
    video = {"file": ("a.mp4", bytes(2000))}
    assert client.post("/v1/checks", files=video, headers=key).status_code == 202
    over = client.post("/v1/checks", files=video, headers=key)
    assert (over.status_code, over.json()["code"]) == (429, "rate_limited")
    assert 0 < int(over.headers["Retry-After"]) <= 86_400
    assert client.get("/v1/checks", headers=key).status_code == 200
    chunks = iter([b'{"link": "', bytes(2000), b'"}'])  # announces no length
    typed = {**key, "Content-Type": "application/json"}
    assert client.post("/v1/checks", content=chunks, headers=typed).status_code == 429
    assert client.post("/v1/checks", files=video, headers=other).status_code == 202


def test_a_new_day_brings_a_new_quota() -> None:
    now_s = [86_400.0 * 3]
    quota = UploadQuota(100, clock=lambda: now_s[0])
    quota.take("k", 100)
    with pytest.raises(RateLimited) as refused:
        quota.take("k", 1)
    assert refused.value.context["retry_after_s"] == 86_400
    now_s[0] += 86_400
    quota.take("k", 100)
    quota.take("", 1000)


def test_the_jobs_of_a_day_are_counted_and_questions_are_not(
    client: TestClient, keys: FakeService
) -> None:
    key = bearer(keys.issue(Scope.CHECK, jobs_per_day=1))
    taken = client.post("/v1/checks", json={"link": LINK}, headers=key)
    assert taken.status_code == 202
    assert '"day";r=0;t=' in taken.headers["RateLimit"]
    over = client.post("/v1/checks", json={"link": LINK}, headers=key)
    assert over.status_code == 429
    assert 0 < int(over.headers["Retry-After"]) <= 86_400
    assert client.get("/v1/checks", headers=key).status_code == 200


def test_each_video_of_a_batch_counts_against_the_day(
    client: TestClient, keys: FakeService
) -> None:
    key = bearer(keys.issue(Scope.CHECK, jobs_per_day=4))

    def send(videos: int) -> int:
        body = {"links": [f"{LINK}?{number}" for number in range(videos)]}
        answer = client.post("/v1/batches", json=body, headers=key)
        if answer.status_code == 429:
            assert (answer.json()["code"], "today" in answer.json()["detail"]) == (
                "rate_limited",
                True,
            )
            assert 0 < int(answer.headers["Retry-After"]) <= 86_400
        return answer.status_code

    assert [send(5), send(3)] == [429, 202]
    assert client.post("/v1/checks", json={"link": LINK}, headers=key).status_code == 429


def test_slow_bodies_of_one_key_leave_places_to_others(tmp_path: Path) -> None:
    """The same holds for event streams: all are requests under way."""
    service = FakeService(tmp_path, "serve.max_requests=4", "serve.key_share=0.5")
    flooding, other = (bearer(service.issue(Scope.CHECK)) for _ in range(2))

    async def story() -> list[int]:
        arrived = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"{"
            await arrived.wait()
            yield b'"link": "https://example.org/a.mp4"}'

        transport = httpx.ASGITransport(service.app(keys_required=True))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            sending = [
                asyncio.create_task(client.post("/v1/checks", content=slow(), headers=flooding))
                for _ in range(3)
            ]
            await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
            answer = await client.get("/v1/checks", headers=other)
            arrived.set()
            return [answer.status_code, *sorted([(await one).status_code for one in sending])]

    assert asyncio.run(asyncio.wait_for(story(), 30)) == [200, 202, 202, 429]


def test_a_bucket_fills_evenly() -> None:
    now = 0.0
    limit = RequestLimit(lambda: now)
    assert [limit.take("a", 60).left for _ in range(60)] == list(range(59, -1, -1))
    over = limit.take("a", 60)
    assert (over.left, over.exceeded) == (0, True)
    with pytest.raises(RateLimited) as caught:
        over.require()
    assert caught.value.context == {"retry_after_s": 1}
    now = 1.0
    assert limit.take("a", 60).left == 0
    now = 1000.0
    assert limit.take("a", 60).left == 59


def test_a_day_ends_at_midnight() -> None:
    assert day_allowance(3, 5, now_s=86_400 * 7 + 86_000).reset_s == 400


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 400), ({"Authorization": "Bearer no"}, 400), (None, 400)]
)
def test_the_original_client_sees_400_for_a_key_that_does_not_serve(
    client: TestClient, keys: FakeService, headers: dict[str, str] | None, status: int
) -> None:
    given = bearer(keys.issue(Scope.REGISTER)) if headers is None else headers
    answer = client.post("/check-video-duplicate", json={"link": LINK}, headers=given)
    assert (answer.status_code, answer.json()["status"]) == (status, status)


def test_the_original_client_sees_500_when_its_key_is_used_up(
    client: TestClient, keys: FakeService
) -> None:
    key = bearer(keys.issue(Scope.CHECK, requests_per_minute=1))
    answers = [
        client.post("/check-video-duplicate", json={"link": LINK}, headers=key) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 500]
    assert int(answers[1].headers["Retry-After"]) > 0


def _status(app: FastAPI, *, headers: dict[str, str], chunks: list[bytes]) -> tuple[int, int]:
    """The answer's status, and how many chunks of the body were asked for."""
    left, sent = list(chunks), []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/checks",
        "raw_path": b"/v1/checks",
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], len(chunks) - len(left)


MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}
HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


def test_the_body_of_a_stranger_is_not_read(app: FastAPI, tmp_path: Path) -> None:
    assert _status(app, headers=MULTIPART, chunks=[HEAD, b"a", b"b"]) == (401, 0)
    assert not (tmp_path / "spool").exists()


def test_a_body_announced_too_large_is_not_read(app: FastAPI, keys: FakeService) -> None:
    headers = MULTIPART | bearer(keys.issue(Scope.CHECK)) | {"Content-Length": "99999999999"}
    assert _status(app, headers=headers, chunks=[HEAD, b"a"]) == (413, 0)


def test_a_body_that_is_larger_than_announced_is_read_to_the_limit_and_left(
    app: FastAPI, keys: FakeService, tmp_path: Path
) -> None:
    headers = MULTIPART | bearer(keys.issue(Scope.CHECK)) | {"Content-Length": "5"}
    status, read = _status(app, headers=headers, chunks=[HEAD, *[bytes(4096)] * 5000])
    assert status == 413
    assert read < 10
    assert list((tmp_path / "spool").iterdir()) == []


def test_many_small_fields_are_refused(client: TestClient, keys: FakeService) -> None:
    fields = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n\r\n' % (b"n" * 3000 + b"%d" % n)
        for n in range(500)
    )
    answer = client.post(
        "/v1/checks", content=fields, headers=MULTIPART | bearer(keys.issue(Scope.CHECK))
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_made_up_keys_cost_no_look_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service, listings = FakeService(tmp_path, "access.refresh_s=1000"), []

    async def ask(method: object, *_: object) -> tuple[ApiKey, ...]:
        listings.append(method)
        return ()

    monkeypatch.setattr(service.engine.ledger, "ask", ask)
    client = TestClient(service.app(keys_required=True))
    for number in range(20):
        assert client.get("/v1/checks", headers=bearer(f"dubl_{number}_x")).status_code == 401
    assert listings == [ApiKeys.list]


def test_a_service_for_this_machine_is_not_for_pages_of_the_web(
    service: FakeService,
) -> None:
    client = TestClient(service.app(local=True), base_url="http://127.0.0.1:8000")
    assert client.get("/v1/checks").status_code == 200
    for host in ("localhost:8000", "[::1]:8000", "127.0.0.1"):
        assert client.get("/v1/checks", headers={"Host": host}).status_code == 200
    same = {"Origin": "http://127.0.0.1:8000"}
    assert client.post("/v1/checks", json={"link": LINK}, headers=same).status_code == 202
    for headers in (
        {"Host": "rebound.example:8000"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "http://[::1"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "http://localhost:8000"},
    ):
        answer = client.post("/v1/checks", json={"link": LINK}, headers=headers)
        assert answer.status_code == 403, headers


@pytest.mark.parametrize(
    ("keys", "host", "required"),
    [
        ("auto", "127.0.0.1", False),
        ("auto", "localhost", False),
        ("auto", "::1", False),
        ("auto", "0.0.0.0", True),
        ("auto", "::", True),
        ("auto", "10.0.0.5", True),
        ("auto", "dubl.example", True),
        ("auto", "", True),
        ("required", "127.0.0.1", True),
        ("off", "0.0.0.0", False),
    ],
)
def test_keys_are_asked_for_on_every_address_but_loopback(
    keys: str, host: str, required: bool
) -> None:
    settings = AccessSettings.model_validate({"keys": keys})
    assert keys_required(settings, host) is required
    assert is_loopback(host) == (host in ("127.0.0.1", "localhost", "::1"))


def test_a_start_where_nobody_could_come_in_is_refused() -> None:
    check = make_key("a", scopes=[Scope.CHECK]).key
    admin = make_key("b", scopes=[Scope.ADMIN]).key
    for keys in ([], [check]):
        with pytest.raises(ConfigurationError, match="dubl keys create"):
            require_admin_key(keys, "0.0.0.0")
    require_admin_key([check, admin], "0.0.0.0")


def test_a_token_is_recognized_by_all_of_it() -> None:
    one, two = make_key("a", scopes=[Scope.CHECK]), make_key("b", scopes=[Scope.CHECK])
    keys = [one.key, two.key]
    assert recognize(one.token, keys) == one.key
    crossed = f"dubl_{two.key.id}_{one.token.split('_', 2)[2]}"
    for token in (
        "",
        "dubl",
        one.token[:-1],
        one.token + "x",
        one.token.upper(),
        crossed,
        "dubl_ы_ы",
    ):
        with pytest.raises(Unauthorized):
            recognize(token, keys)


def test_a_log_in_stands_for_its_key_but_not_for_pages_of_others(
    service: FakeService, client: TestClient
) -> None:
    token = service.issue(Scope.REVIEW, name="anna")
    answer = client.post("/v1/session", headers=bearer(token))
    assert answer.json() == {**answer.json(), "name": "anna", "scopes": ["review"]}
    assert client.get("/v1/session").json()["name"] == "anna"
    assert client.get("/v1/reviews/queue").status_code == 200
    assert client.get("/v1/keys").status_code == 403
    refused = client.post("/v1/reviews/many", json={})
    assert (refused.status_code, "x-dubl-console" in refused.json()["detail"]) == (403, True)
    console = {"X-Dubl-Console": "1"}
    assert client.post("/v1/reviews/many", json={}, headers=console).status_code == 400
    (key,) = service.ledger.keys.list()
    service.ledger.keys.revoke(key.id)
    assert client.get("/v1/session").status_code == 401


@pytest.mark.parametrize(
    "session", ["", "x", "..", "id.9999999999.", f"id.9999999999.{'0' * 64}", "é.1.é"]
)
def test_a_made_up_log_in_is_refused(session: str) -> None:
    made = make_key("anna", scopes=[Scope.REVIEW]).key
    with pytest.raises(Unauthorized):
        recognize_session(session.replace("id", made.id), [made], b"s")
    old = sign_session(made, b"s", expires_at=1)
    with pytest.raises(Unauthorized):
        recognize_session(old, [made], b"s")
    with pytest.raises(Unauthorized):  # by one who has a copy of the ledger, and not the secret
        recognize_session(sign_session(made, b"", expires_at=9999999999), [made], b"s")
    later = old.replace(".1.", ".9999999999.")
    with pytest.raises(Unauthorized):
        recognize_session(later, [made], b"s")
    signed = sign_session(made, b"s", expires_at=9999999999)
    assert recognize_session(signed, [made], b"s") is made


PROXY = "10.0.0.5"
FORWARDED = {"X-Forwarded-Email": "anna@example.org", "X-Forwarded-Groups": "staff, reviewers"}


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Callable[..., httpx.Response]]:
    """Asks for the session, from an address and with headers."""
    groups = "{reviewers: [review], administrators: [admin]}"
    service = FakeService(
        tmp_path,
        "access.keys=required",
        f"access.trusted_proxy.peers=[{PROXY}, 'fd00::/8']",
        f"access.trusted_proxy.groups={groups}",
    )
    app = service.app(keys_required=True)

    def ask(
        headers: object, *, client: str = PROXY, method: str = "GET", path: str = "/v1/session"
    ) -> httpx.Response:
        from_there = TestClient(app, raise_server_exceptions=False, client=(client, 0))
        return from_there.request(method, path, headers=cast(Any, headers))

    yield ask
    service.close()


def test_a_person_whom_the_proxy_signed_in_has_the_scopes_of_the_groups(
    proxied: Callable[..., httpx.Response],
) -> None:
    who = proxied(FORWARDED).json()
    assert who == {
        "name": "anna@example.org",
        "scopes": ["review"],
        "libraries": [],
        "has_key": True,
        "by_proxy": True,
    }
    assert proxied(FORWARDED, path="/v1/reviews/queue").status_code == 200
    assert proxied(FORWARDED, path="/v1/keys").status_code == 403
    assert proxied(FORWARDED, client="::ffff:10.0.0.5").status_code == 200
    assert proxied(FORWARDED, client="fd00::5").status_code == 200
    both = {**FORWARDED, "X-Forwarded-Groups": "administrators,reviewers"}
    assert proxied(both, path="/v1/keys").status_code == 200
    nobody = {**FORWARDED, "X-Forwarded-Groups": "staff"}
    assert proxied(nobody).status_code == 403


@pytest.mark.parametrize("client", ["10.0.0.6", "127.0.0.1", "testclient", "::1"])
def test_headers_of_others_than_the_proxy_name_nobody(
    proxied: Callable[..., httpx.Response], client: str
) -> None:
    assert proxied(FORWARDED, client=client).status_code == 401


@pytest.mark.parametrize(
    "told", [PROXY, f"1.2.3.4, {PROXY}", f"{PROXY}:443", "1.2.3.4, fd00::5", "[fd00::5]:443"]
)
def test_an_address_that_the_request_names_itself_proves_nothing(
    proxied: Callable[..., httpx.Response], told: str
) -> None:
    """uvicorn puts it in the place of the connection's, where it believes the sender."""
    named = "fd00::5" if "fd00" in told else PROXY
    assert proxied({**FORWARDED, "X-Forwarded-For": told}, client=named).status_code == 401
    others = {**FORWARDED, "X-Forwarded-For": "10.0.0.51, fd00::51"}
    assert proxied(others, client=named).status_code == 200


def test_a_header_that_the_browser_sent_too_is_refused(
    proxied: Callable[..., httpx.Response],
) -> None:
    twice = [*FORWARDED.items(), ("x-forwarded-groups", "administrators")]
    assert proxied(twice, path="/v1/keys").status_code == 401


def test_pages_of_other_hosts_cannot_use_the_proxys_log_in(
    proxied: Callable[..., httpx.Response],
) -> None:
    change = {"method": "POST", "path": "/v1/reviews/many"}
    assert proxied(FORWARDED, **change).status_code == 403
    assert proxied({**FORWARDED, "X-Dubl-Console": "1"}, **change).status_code == 400


def test_a_proxy_is_believed_only_where_keys_are_required() -> None:
    peers = {"trusted_proxy": {"peers": [PROXY]}}
    for keys in ("auto", "off"):
        with pytest.raises(ValueError, match="needs access"):
            AccessSettings.model_validate({"keys": keys, **peers})
    AccessSettings.model_validate({"keys": "required", **peers})
