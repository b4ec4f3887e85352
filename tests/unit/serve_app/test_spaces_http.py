"""Feature spaces over HTTP; over a service in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from dubl.types import Scope
from serve_app.api.routes import scopes_for
from tests.support.fake_service import NEW, OLD, FakeService


@pytest.fixture
def service(tmp_path: Path) -> FakeService:
    service = FakeService(tmp_path)
    service.compare()
    return service


@pytest.fixture
def client(service: FakeService) -> TestClient:
    return TestClient(service.app(), raise_server_exceptions=False)


def test_spaces_are_listed_with_how_they_compare(client: TestClient) -> None:
    old, new = client.get("/v1/spaces").json()["items"]
    assert (old["space_id"], old["answers"], old["missing"]) == (OLD, True, 0)
    assert (new["answers"], new["references"], new["missing"]) == (False, 3, 2)
    assert (new["shadow_checks"], new["agreed"]) == (9, 7)
    assert new["differing"] == [{"answered": "duplicate", "shadow": "unique", "count": 2}]


def test_what_a_space_lacks_is_listed_in_pages(client: TestClient) -> None:
    first = client.get(f"/v1/spaces/{NEW}/missing?limit=1").json()
    assert [(one["id"], one["path"]) for one in first["items"]] == [("ref-1", "/films/1.mp4")]
    rest = client.get(f"/v1/spaces/{NEW}/missing?cursor={first['next_cursor']}").json()
    assert [(one["id"], one["path"]) for one in rest["items"]] == [("ref-2", None)]
    assert rest["next_cursor"] is None
    assert client.get("/v1/spaces/unknown/missing").status_code == 404


def test_a_space_that_lacks_references_is_switched_to_by_force_alone(client: TestClient) -> None:
    refused = client.post("/v1/spaces/switch", json={"space_id": NEW})
    assert (refused.status_code, refused.json()["code"]) == (409, "state_conflict")
    made = client.post("/v1/spaces/switch", json={"space_id": NEW, "force": True, "note": "why"})
    assert (made.status_code, made.json()["space_id"], made.json()["note"]) == (200, NEW, "why")
    body = client.get("/v1/spaces").json()
    assert [one["answers"] for one in body["items"]] == [False, True]
    back = client.post("/v1/spaces/rollback").json()
    assert (back["space_id"], back["previous_id"], back["rollback"]) == (OLD, NEW, True)
    assert [one["rollback"] for one in client.get("/v1/spaces").json()["switches"]] == [True, False]


@pytest.mark.parametrize("wrong", [{}, {"space_id": NEW, "forced": True}, {"space_id": 1}])
def test_a_wrong_switch_is_refused(client: TestClient, wrong: dict[str, object]) -> None:
    assert client.post("/v1/spaces/switch", json=wrong).status_code == 400


def test_spaces_are_for_administrators() -> None:
    for method, path in (
        ("GET", "/v1/spaces"),
        ("GET", f"/v1/spaces/{NEW}/missing"),
        ("POST", "/v1/spaces/switch"),
        ("POST", "/v1/spaces/rollback"),
    ):
        assert scopes_for(method, path) == {Scope.ADMIN}
