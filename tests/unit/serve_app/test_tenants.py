"""No byte of one tenant reaches another: every route is asked with the key of one, in a service
where the other has videos and in one where it has none. The answers must be the same."""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from dubl.contract.bodies import DuplicateCluster, DuplicateMember
from dubl.index.duplicates import write_duplicates
from dubl.types import JobState, ReferenceDraft, Scope
from serve_app.api.context import libraries_of
from tests.support.fake_service import MATCH, WEAK_MATCH, FakeService

WAIT = {"Prefer": "wait=30"}
LINK = "https://theirs.example/secret.mp4"
TENANT = [scope for scope in Scope if scope is not Scope.ADMIN]
OURS, THEIRS = ["our-check"], ["their-check", "their-second"]
IDS = {
    "check_id": "their-check",
    "reference_id": "their-film",
    "library": "theirs",
    "delivery_id": "their-delivery",
    "space_id": "aaaaaaaaaaaa",
    "key_id": "their-key",
}
BODIES: dict[tuple[str, str], object] = {
    ("POST", "/check-video-duplicate"): {"link": "https://ours.example/a.mp4"},
    ("POST", "/v1/checks"): {"link": "https://ours.example/a.mp4"},
    ("POST", "/v1/references"): {"link": "https://ours.example/a.mp4", "library": "ours"},
    ("POST", "/v1/batches"): {"links": ["https://ours.example/a.mp4"]},
    ("PATCH", "/v1/references/{reference_id}"): {"title": "ours now"},
    ("POST", "/v1/reviews"): {
        "check_id": "their-check",
        "reference_id": "their-film",
        "decision": "confirmed",
    },
    ("POST", "/v1/reviews/many"): {
        "items": [{"check_id": THEIRS[0], "reference_id": "their-film", "decision": "confirmed"}]
    },
    ("POST", "/v1/reviews/quarantine"): {"reference_id": "their-film", "decision": "release"},
}
QUERIES = (
    "",
    "?limit=1",
    "?reference_id=their-film",
    "?check_id=their-check",
    "?library=theirs",
    "?status=done",
    "?state=open",
    "?dead=true",
    "?q=their",
)


def service_of(folder: Path, *, crowded: bool) -> FakeService:
    """With a check and a reference of our own, and all kinds of things of another tenant."""
    service = FakeService(folder, "access.refresh_s=0", "access.requests_per_minute=100000")
    if crowded:
        fill(service)
    check(service, "our-check", "ours", "our-film")
    service.library.add(ReferenceDraft(id="our-film", library="ours"))
    return service


def fill(service: FakeService) -> None:
    service.library.add(ReferenceDraft(id="their-film", library="theirs", title="their secret"))
    for name in THEIRS:
        check(service, name, "theirs", "their-film")
    client, headers = TestClient(service.app()), WAIT
    wanted = {"links": [LINK], "library": "theirs"}
    assert client.post("/v1/batches", json=wanted).status_code == 202
    body = {"link": LINK, "library": "theirs", "id": "their-late-film"}
    assert client.post("/v1/references", json=body).status_code == 202
    service.ends = JobState.QUEUED
    assert client.post("/v1/checks", json=body, headers=headers).status_code == 202
    service.ends = JobState.DONE
    review = {"check_id": THEIRS[1], "reference_id": "their-film", "decision": "rejected"}
    assert client.post("/v1/reviews", json=review).status_code == 201
    service.put("their-dead-job", state=JobState.FAILED, dead=True, request=order("theirs"))
    service.quarantine("their-film")
    with service.ledger._database.transaction("test") as connection:
        connection.execute("UPDATE quarantines SET library = 'theirs'")
    service.videos.files |= dict.fromkeys(
        (*THEIRS, "their-film"), service.settings.evidence_dir / "secret"
    )
    members = tuple(DuplicateMember(id=one, title="secret", duration_s=1.0) for one in "ab")
    cluster = DuplicateCluster(members=members, pairs=())
    write_duplicates(service.settings.data_dir, "theirs", [cluster])


def order(library: str) -> dict[str, object]:
    return {"id": "s", "video": {"link": LINK}, "libraries": [library]}


def check(service: FakeService, name: str, library: str, reference_id: str) -> None:
    service.matches = (
        dataclasses.replace(MATCH, reference_id=reference_id, library=library),
        dataclasses.replace(WEAK_MATCH, library=library),
    )
    link = {"link": f"https://{library}.example/a.mp4", "id": name, "library": library}
    answer = TestClient(service.app()).post("/v1/checks", json=link, headers=WAIT)
    assert answer.status_code == 200


def calls(service: FakeService) -> Iterator[tuple[str, str, object]]:
    """Every route, with the ids of the other tenant where it takes one."""
    jobs = service.ledger.jobs.list(limit=500).items
    their_jobs = [job.id for job in jobs if libraries_of(job) != ("ours",)]
    for route, methods in service.app().openapi()["paths"].items():
        for method in (name.upper() for name in methods):
            body = BODIES.get((method, route))
            for job_id in their_jobs if "{job_id}" in route else [""]:
                path = filled(route, job_id)
                for query in QUERIES if method == "GET" and "{" not in route else [""]:
                    yield method, path + query, body


def filled(path: str, job_id: str) -> str:
    for name, value in {**IDS, "job_id": job_id}.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path, f"{path} takes an id that this test does not know"
    return path


def plain(text: str) -> str:
    """Without what is new in each answer, with cursors as what they hold."""
    text = re.sub(r'(?<="next_cursor":")[\w-]+', decoded, text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "<id>", text)
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", text)


def decoded(cursor: re.Match[str]) -> str:
    return base64.urlsafe_b64decode(cursor[0] + "=" * (-len(cursor[0]) % 4)).decode()


def test_no_byte_of_one_tenant_reaches_another(tmp_path: Path) -> None:
    crowded = service_of(tmp_path / "crowded", crowded=True)
    alone = service_of(tmp_path / "alone", crowded=False)
    answers: list[list[tuple[str, int, str]]] = []
    wanted = list(calls(crowded))
    for service in (crowded, alone):
        token = service.issue(*TENANT, libraries=["ours"])
        client = TestClient(service.app(keys_required=True), raise_server_exceptions=False)
        client.headers["Authorization"] = f"Bearer {token}"
        told = []
        for method, path, body in wanted:
            answer = client.request(method, path, json=body)
            told.append((f"{method} {path}", answer.status_code, plain(answer.text)))
        answers.append(told)
    pairs = zip(*answers, strict=True)
    assert [both for both in pairs if both[0] != both[1]] == []
    assert len(answers[0]) > 100


@pytest.mark.parametrize("path", ["/v1/checks", "/v1/jobs", "/v1/reviews/queue"])
def test_a_page_is_full_of_what_may_be_seen(tmp_path: Path, path: str) -> None:
    service = service_of(tmp_path, crowded=True)
    for number in range(4):
        check(service, f"more-{number}", "ours", "our-film")
        check(service, f"theirs-{number}", "theirs", "their-film")
    token = service.issue(*TENANT, libraries=["ours"])
    client = TestClient(service.app(keys_required=True))
    client.headers["Authorization"] = f"Bearer {token}"
    cursor, seen = "", []
    while cursor is not None:
        page = client.get(path, params={"limit": 2, "cursor": cursor}).json()
        seen += page["items"]
        assert len(page["items"]) == 2 or page["next_cursor"] is None
        cursor = page["next_cursor"]
    assert len(seen) == len(OURS) + 4


@pytest.mark.parametrize(
    "path", ["/v1/audit", "/v1/deliveries", "/v1/keys", "/v1/ledger", "/v1/spaces"]
)
def test_an_administrator_of_one_library_has_no_part_in_the_whole(
    tmp_path: Path, path: str
) -> None:
    service = FakeService(tmp_path)
    token = service.issue(Scope.ADMIN, libraries=["ours"])
    client = TestClient(service.app(keys_required=True))
    answer = client.get(path, headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_how_many_references_a_rival_has_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for most in ("PAGE", "MAX_OWNED"):
        monkeypatch.setattr(f"dubl.engine.review_queue.{most}", 1)
    service = FakeService(tmp_path)
    for number in range(3):
        service.library.add(ReferenceDraft(id=f"r{number}", library="theirs", owner="Rival"))
    token = service.issue(Scope.REVIEW, libraries=["ours"])
    client = TestClient(service.app(keys_required=True))
    client.headers["Authorization"] = f"Bearer {token}"
    for library in ("", "theirs"):
        asked = client.get("/v1/reviews/queue", params={"owner": "Rival", "library": library})
        assert asked.status_code in (200, 403), asked.text
