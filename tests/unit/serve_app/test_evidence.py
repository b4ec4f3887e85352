"""Evidence and reviews over HTTP: what a console gets and sends, over a service in memory."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from dubl.settings import PolicySettings
from dubl.types import ReviewState, Scope
from tests.support.fake_service import MATCH, FakeService

CHECK = "my/check"
PAIR = {"check_id": CHECK, "reference_id": MATCH.reference_id}
AT = f"/v1/checks/my%2Fcheck/matches/{MATCH.reference_id}"


@pytest.fixture
def service(tmp_path: Path) -> FakeService:
    service = FakeService(tmp_path)
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in (CHECK, MATCH.reference_id):
        path = kept / name.replace("/", "-")
        path.write_bytes(bytes(range(100)))
        service.videos.files[name] = path
    return service


@pytest.fixture
def client(service: FakeService) -> TestClient:
    client = TestClient(service.app(), raise_server_exceptions=False)
    link = {"link": "https://example.org/a.mp4", "id": CHECK}
    assert client.post("/v1/checks", json=link, headers={"Prefer": "wait=9"}).status_code == 200
    link = {"link": "https://example.org/r.mp4", "id": MATCH.reference_id}
    assert client.post("/v1/references", json=link, headers={"Prefer": "wait=9"}).is_success
    return client


def test_evidence_says_what_matched_how_it_was_edited_and_what_the_number_meant(
    client: TestClient,
) -> None:
    body = client.get(f"{AT}/evidence").json()
    assert body["segments"][0]["reference_start_s"] == 4.0
    assert (body["probability"], body["outcome"]) == (0.97, "duplicate")
    assert body["policy"] == {
        "version": PolicySettings().version,
        "duplicate_probability": 0.9,
        "review_probability": 0.5,
        "checked_under": "1",
    }
    assert body["hints"][0]["kind"] == "inset"
    assert body["hints"][0]["box"] == {"left": 0.5, "top": 0.5, "width": 0.5, "height": 0.5}
    pair = body["pairs"][0]
    assert (pair["query_s"], pair["reference_s"]) == (1.5, 5.5)
    assert client.get(pair["query_picture"]).content == b"picture of my/check at 1.5"
    assert client.get(pair["reference_picture"]).content == b"picture of ref-1 at 5.5"


def test_the_matrix_comes_as_a_picture_and_as_numbers(client: TestClient) -> None:
    answer = client.get(f"{AT}/evidence/matrix.png?stage=network")
    assert answer.headers["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size == (720, 540)
    body = client.get(f"{AT}/evidence/matrix").json()
    assert [len(row) for row in body["similarity"]] == [4, 4, 4]
    assert (body["query_times_s"], body["reference_duration_s"]) == ([0, 1, 2], 4.0)


def test_without_a_network_its_matrix_is_not_there(
    client: TestClient, service: FakeService
) -> None:
    service.videos.has_network = False
    answer = client.get(f"{AT}/evidence/matrix?stage=network")
    assert (answer.status_code, answer.json()["code"]) == (404, "evidence_not_kept")
    assert client.get(f"{AT}/evidence/matrix?stage=sound").status_code == 404
    assert client.get(f"{AT}/evidence/matrix?stage=other").status_code == 400


@pytest.mark.parametrize("address", ["/v1/checks/my%2Fcheck", "/v1/references/ref-1"])
def test_kept_files_are_served_in_ranges_and_can_run_nothing(
    client: TestClient, address: str
) -> None:
    answer = client.get(f"{address}/video", headers={"Range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, bytes(range(10, 20)))
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_file_outside_the_allowed_folders_is_never_served(
    client: TestClient, service: FakeService, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key")
    service.videos.files[CHECK] = secret
    answer = client.get("/v1/checks/my%2Fcheck/video")
    assert (answer.status_code, answer.json()["code"]) == (404, "evidence_not_kept")


def test_evidence_that_is_not_kept_any_more_is_a_problem_with_a_hint(
    client: TestClient,
) -> None:
    assert client.delete("/v1/checks/my%2Fcheck/evidence").status_code == 204
    for path in ("evidence", "evidence/matrix", "evidence/matrix.png"):
        answer = client.get(f"{AT}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "evidence_not_kept")
        assert "retention" in answer.json()["hint"]
    assert client.get("/v1/checks/my%2Fcheck").json()["outcome"] == "duplicate"


def test_a_reference_without_pictures_is_named_all_the_same(
    client: TestClient, service: FakeService
) -> None:
    del service.videos.files[MATCH.reference_id]
    body = client.get(f"{AT}/evidence").json()
    assert (body["reference"]["duration_s"], body["reference"]["picture"]) == (12.0, None)
    assert body["pairs"][0]["reference_picture"] is None


def test_a_match_that_the_check_does_not_have_is_not_found(client: TestClient) -> None:
    answer = client.get("/v1/checks/my%2Fcheck/matches/other/evidence")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert client.get("/v1/checks/none/matches/ref-1/evidence").status_code == 404


def test_a_decision_is_recorded_with_who_and_why(client: TestClient) -> None:
    sent = PAIR | {"decision": "rejected", "reviewer": "Анна", "note": "another take"}
    answer = client.post("/v1/reviews", json=sent)
    assert answer.status_code == 201
    assert {name: answer.json()[name] for name in sent} == sent
    listed = client.get("/v1/reviews", params={"check_id": CHECK}).json()
    assert listed["items"] == [answer.json()]
    assert client.get("/v1/reviews?reference_id=other").json()["items"] == []


@pytest.mark.parametrize(
    "sent",
    [
        {"decision": "maybe"},
        {},
        {"check_id": 5, "decision": "confirmed"},
        {"decision": "comment", "note": "  "},
        {"decision": "confirmed", "note": "x" * 5000},
        {"decision": "confirmed", "colour": 1},
    ],
)
def test_a_wrong_decision_is_a_problem(client: TestClient, sent: dict[str, object]) -> None:
    answer = client.post("/v1/reviews", json=PAIR | sent)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_the_queue_holds_what_reaches_the_review_threshold(client: TestClient) -> None:
    body = client.get("/v1/reviews/queue?state=open").json()
    assert body["items"][0]["query_name"] == "upload.mp4"
    closed = dict.fromkeys((state.value for state in ReviewState if state != "open"), 0)
    assert body["counts"] == {"open": 1, **closed}
    assert len(body["items"]) == 1
    weak = client.get("/v1/reviews/queue?min_probability=0&check_id=my/check").json()
    assert {one["reference_id"] for one in weak["items"]} == {"ref-1", "ref-2"}
    assert client.get("/v1/reviews/queue?check_id=other").json()["items"] == []
    assert client.get("/v1/reviews/queue?state=unknown").status_code == 400


def test_a_key_of_another_library_sees_neither_evidence_nor_queue(
    service: FakeService,
) -> None:
    keys = service
    client = TestClient(service.app(keys_required=True), raise_server_exceptions=False)
    everything = {"X-API-Key": keys.issue(Scope.CHECK, Scope.REVIEW)}
    other = {"X-API-Key": keys.issue(Scope.CHECK, Scope.REVIEW, libraries=["sport"])}
    link = {"link": "https://example.org/a.mp4", "id": CHECK}
    client.post("/v1/checks", json=link, headers=everything | {"Prefer": "wait=9"})
    assert client.get(f"{AT}/evidence", headers=everything).status_code == 200
    for path in (f"{AT}/evidence", f"{AT}/evidence/matrix.png", "/v1/checks/my%2Fcheck/video"):
        assert client.get(path, headers=other).status_code == 404
    assert client.get("/v1/reviews/queue", headers=other).json()["items"] == []
    assert client.get("/v1/reviews", headers=other).status_code == 400
    sent = PAIR | {"decision": "confirmed"}
    assert client.post("/v1/reviews", json=sent, headers=other).status_code == 404
    assert client.post("/v1/reviews", json=sent).status_code == 401
    assert client.get("/").status_code == client.get("/console/main.js").status_code == 200


def test_a_check_under_a_legal_hold_cannot_be_deleted_and_then_goes_with_all_its_parts(
    client: TestClient,
) -> None:
    at = "/v1/checks/my%2Fcheck"
    held = client.put(f"{at}/hold", json={"reason": "case 7"})
    assert (held.status_code, held.json()["reason"]) == (200, "case 7")
    assert [one["check_id"] for one in client.get("/v1/holds").json()["items"]] == [CHECK]
    for path in (at, f"{at}/evidence"):
        refused = client.delete(path)
        assert (refused.status_code, refused.json()["code"]) == (409, "state_conflict")
    assert client.get(f"{at}/video").status_code == 200
    assert client.delete(f"{at}/hold").status_code == 204
    assert client.delete(at).status_code == 204
    assert client.get(at).json()["code"] == "check_not_found"
    assert [one["kind"] for one in client.get("/v1/jobs").json()["items"]] == ["reference"]
    assert client.get("/v1/holds").json()["items"] == []
    assert client.put(f"{at}/hold", json={}).status_code == 404


@pytest.mark.parametrize("path", ["hold", ""])
def test_only_an_administrator_deletes_or_releases_a_check(tmp_path: Path, path: str) -> None:
    keys = FakeService(tmp_path / "keys")
    client = TestClient(keys.app(keys_required=True))
    bearer = {"Authorization": f"Bearer {keys.issue(Scope.REVIEW)}"}
    answer = client.delete(f"/v1/checks/a/{path}".rstrip("/"), headers=bearer)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_evidence_of_a_deleted_reference_is_not_that_of_the_next_with_its_id(
    client: TestClient,
) -> None:
    assert client.delete(f"/v1/references/{MATCH.reference_id}").status_code == 204
    link = {"link": "https://example.org/other.mp4", "id": MATCH.reference_id}
    assert client.post("/v1/references", json=link, headers={"Prefer": "wait=9"}).is_success
    for path in ("evidence", "evidence/matrix", "evidence/matrix.png"):
        assert client.get(f"{AT}/{path}").json()["code"] == "evidence_not_kept"
