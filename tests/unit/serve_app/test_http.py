"""The HTTP contract: what clients send and what they get, over a service in memory."""

from __future__ import annotations

import json
import re
import unicodedata
import uuid
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from dubl import errors
from dubl.contract.bodies import DuplicateCluster, DuplicateMember, DuplicatePair
from dubl.index.duplicates import write_duplicates
from dubl.settings import load_settings
from dubl.types import JobState
from tests.support.fake_service import MATCH, WEAK_MATCH, FakeService

LINK = "https://example.org/clips/a.mp4"
WAIT = {"Prefer": "wait=30"}
UUID = "3f2b8a52-5a0c-4a29-8f0b-0d3f6a1c9e77"


@pytest.fixture
def service(tmp_path: Path) -> FakeService:
    return FakeService(tmp_path, "media.max_size_bytes=100000")


@pytest.fixture
def client(service: FakeService) -> TestClient:
    return TestClient(service.app(), raise_server_exceptions=False)


def spooled(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]


def test_a_submission_is_acknowledged_at_once_with_where_the_result_will_be(
    client: TestClient,
) -> None:
    answer = client.post("/v1/checks", json={"link": LINK, "id": "my/check"})
    assert answer.status_code == 202
    job_id = client.get("/v1/jobs").json()["items"][0]["id"]
    assert answer.json() == {"id": "my/check", "job_id": job_id, "status": "queued"}
    assert answer.headers["Location"] == "/v1/checks/my%2Fcheck"
    assert client.get(answer.headers["Location"]).json()["status"] == "queued"


def test_prefer_wait_brings_the_verdict_in_one_answer(
    client: TestClient, service: FakeService
) -> None:
    answer = client.post("/v1/checks", json={"link": LINK}, headers=WAIT)
    body = answer.json()
    assert answer.status_code == 200
    assert service.jobs.waited_s == [30]
    assert body["status"] == "done"
    assert body["outcome"] == "duplicate"
    assert body["matches"][0]["reference_id"] == MATCH.reference_id
    assert body["matches"][0]["segments"][0]["reference_start_s"] == 4.0
    assert (body["model_id"], body["policy_version"], body["index_version"]) == (
        "test-model",
        "1",
        7,
    )
    assert body["timings_ms"] == {"decode": 12.3, "total": 20.0}
    assert client.get(f"/v1/checks/{body['id']}").json() == body


def test_weak_matches_are_shown_only_when_asked_for(client: TestClient) -> None:
    usual = client.post("/v1/checks", json={"link": LINK}, headers=WAIT).json()
    every = client.post("/v1/checks?min_probability=0", json={"link": LINK}, headers=WAIT).json()
    assert [match["reference_id"] for match in usual["matches"]] == [MATCH.reference_id]
    assert len(every["matches"]) == len([MATCH, WEAK_MATCH])


def test_a_wait_is_never_longer_than_the_setting(client: TestClient, service: FakeService) -> None:
    client.post("/v1/checks", json={"link": LINK}, headers={"Prefer": "respond-async, wait=99999"})
    assert service.jobs.waited_s == [300]


def test_an_upload_is_spooled_with_its_hash_and_fields(
    client: TestClient, service: FakeService, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 64
    fields = {"title": "Кот", "library": "films", "metadata": '{"year": {"made": 2020}}'}
    answer = client.post(
        "/v1/references", files={"file": ("кот.mp4", content)}, data=fields, headers=WAIT
    )
    assert answer.status_code == 201
    order = service.orders[0]
    assert order.video.upload is not None
    assert order.video.upload.size_bytes == len(content)
    assert Path(order.video.upload.path).read_bytes() == content
    assert answer.json()["metadata"] == {"year": {"made": 2020}}
    assert (answer.json()["title"], answer.json()["library"]) == ("Кот", "films")
    uuid.UUID(answer.json()["id"])
    assert len(spooled(tmp_path)) == 1


@pytest.mark.parametrize("name", ["../../../tmp/evil.mp4", "/etc/passwd", "a\\..\\b", ".", "con"])
def test_a_file_name_is_a_label_and_never_a_place(
    client: TestClient, service: FakeService, tmp_path: Path, name: str
) -> None:
    client.post("/v1/checks", files={"file": (name, b"content")})
    upload = service.orders[0].video.upload
    assert upload is not None
    assert spooled(tmp_path) == [Path(upload.path)]
    assert Path(upload.path).parent == tmp_path / "spool"
    assert re.fullmatch("[0-9a-f]{32}", Path(upload.path).name)


def test_too_large_an_upload_is_refused_and_leaves_nothing(
    client: TestClient, tmp_path: Path
) -> None:
    answer = client.post("/v1/checks", files={"file": ("a.mp4", bytes(200_000))})
    assert answer.status_code == 413
    assert answer.json()["code"] == "source_too_large"
    assert spooled(tmp_path) == []


def test_a_refused_order_leaves_no_file_in_the_spool(client: TestClient, tmp_path: Path) -> None:
    answer = client.post(
        "/v1/references", files={"file": ("a.mp4", b"x")}, data={"library": "no/such name"}
    )
    assert answer.status_code == 400
    assert spooled(tmp_path) == []


def test_a_reference_from_a_link_named_by_a_uuid_takes_that_uuid(client: TestClient) -> None:
    link = f"https://example.org/clips/{UUID}.mp4?token=1"
    assert client.post("/v1/references", json={"link": link}).json()["id"] == UUID


def test_registering_again_answers_200(client: TestClient) -> None:
    body = {"link": LINK, "id": "one"}
    assert client.post("/v1/references", json=body, headers=WAIT).status_code == 201
    assert client.post("/v1/references", json=body, headers=WAIT).status_code == 200


def test_references_are_listed_changed_and_deleted(client: TestClient) -> None:
    for name, library in (("a", "main"), ("b", "films")):
        body = {"link": LINK, "id": name, "library": library, "owner": "Mosfilm"}
        client.post("/v1/references", json=body, headers=WAIT)
    listed = client.get("/v1/references", params={"library": "films"}).json()
    assert [item["id"] for item in listed["items"]] == ["b"]
    assert listed["next_cursor"] is None
    changed = client.patch("/v1/references/a", json={"title": "New"}).json()
    assert (changed["title"], changed["owner"]) == ("New", "Mosfilm")
    assert client.get("/v1/libraries").json() == {
        "items": [{"name": "films", "references": 1}, {"name": "main", "references": 1}]
    }
    assert client.delete("/v1/references/a").status_code == 204
    assert client.get("/v1/references/a").status_code == 404


def nested(levels: int) -> bytes:
    """What can be read, and not be written by everybody."""
    return b'{"metadata": ' + b'{"a": ' * levels + b"1" + b"}" * levels + b"}"


@pytest.mark.parametrize(
    ("request_of", "named"),
    [
        (lambda client: client.post("/v1/checks", json={}), "file"),
        (lambda client: client.post("/v1/checks", json={"link": LINK, "path": "/a"}), "exactly"),
        (lambda client: client.post("/v1/checks", json={"link": "ftp://a/b"}), "link"),
        (lambda client: client.post("/v1/checks", json={"link": 5}), "link"),
        (lambda client: client.post("/v1/checks", json={"link": LINK, "colour": 1}), "colour"),
        (lambda client: client.post("/v1/checks", json=[1]), "object"),
        (lambda client: client.post("/v1/checks", content=b"\xff\x00"), "JSON"),
        (lambda client: client.post("/v1/checks", content=b"[" * 100_000), "JSON"),
        (lambda client: client.post("/v1/checks", content=b'{"link": "\\ud800"}'), "JSON"),
        (lambda client: client.patch("/v1/references/a", content=b'{"metadata": NaN}'), "JSON"),
        (lambda client: client.patch("/v1/references/a", content=b'{"metadata": 1e999}'), "JSON"),
        (lambda client: client.patch("/v1/references/a", content=nested(300)), "JSON"),
        (
            lambda client: client.post(
                "/v1/references",
                files={"file": ("a.mp4", b"x")},
                data={"metadata": '{"a": Infinity}'},
            ),
            "metadata",
        ),
        (lambda client: client.post("/v1/checks?min_probability=2", json={}), "min_probability"),
        (lambda client: client.get("/v1/references?limit=0"), "limit"),
        (lambda client: client.get("/v1/checks?outcome=maybe"), "outcome"),
        (lambda client: client.patch("/v1/references/a", json={}), "title"),
        (
            lambda client: client.post(
                "/v1/checks",
                content=b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\nabc",
                headers={"Content-Type": "multipart/form-data; boundary=x"},
            ),
            "ends too early",
        ),
    ],
)
def test_a_wrong_request_is_a_problem_that_names_what_is_wrong(
    client: TestClient, request_of: Callable[[TestClient], object], named: str
) -> None:
    answer = request_of(client)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == "invalid_request"
    assert named in body["detail"]
    assert body["request_id"] == answer.headers["X-Request-ID"]


def test_unknown_paths_and_methods_are_problems_too(client: TestClient) -> None:
    for answer in (client.get("/v1/nothing"), client.put("/v1/checks")):
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert {"type", "title", "status", "detail", "code", "request_id"} <= set(answer.json())


def test_a_failed_check_answers_with_the_problem_it_met(
    client: TestClient, service: FakeService
) -> None:
    service.ends = errors.NoVideoStream("only audio in a.mp3")
    answer = client.post("/v1/checks", json={"link": LINK, "id": "c"}, headers=WAIT)
    assert answer.status_code == 422
    assert answer.json()["code"] == "no_video_stream"
    later = client.get("/v1/checks/c").json()
    assert (later["status"], later["error"]["code"]) == ("failed", "no_video_stream")
    assert client.get(f"/v1/jobs/{later['job_id']}").json()["error"]["status"] == 422


@pytest.mark.parametrize("kind", ["check", "reference", "job"])
def test_what_is_not_there_is_named_by_its_kind(client: TestClient, kind: str) -> None:
    client.post("/v1/checks", json={"link": LINK, "id": "a"})
    unknown = client.get(f"/v1/{kind}s/none")
    assert (unknown.status_code, unknown.json()["code"]) == (404, f"{kind}_not_found")
    assert client.get(f"/v1/{kind}s/a").status_code == (200 if kind == "check" else 404)


def test_all_wrong_fields_are_told_together(client: TestClient) -> None:
    wrong = {"link": LINK, "callback_url": "none", "title": 7}
    for path in ("/v1/checks", "/v1/references"):
        detail = client.post(path, json=wrong).json()["detail"]
        assert all(f"`{name}`" in detail for name in ("callback_url", "title"))
    wrong = {"links": ["none"], "kind": "film", "callback_url": "none"}
    detail = client.post("/v1/batches", json=wrong).json()["detail"]
    assert all(f"`{name}`" in detail for name in ("links[0]", "kind", "callback_url"))


def test_a_full_service_says_when_to_come_again(client: TestClient, service: FakeService) -> None:
    service.full = True
    answer = client.post("/v1/checks", json={"link": LINK})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["code"] == "overloaded"


def test_an_unexpected_error_is_a_problem_without_its_inner_text(
    client: TestClient, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret path /etc")

    monkeypatch.setattr(service.jobs, "accept", broken)
    answer = client.post("/v1/checks", json={"link": LINK})
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_the_original_client_gets_exactly_what_it_knows(
    client: TestClient, service: FakeService
) -> None:
    link = f"https://example.org/{UUID}.mp4"
    answer = client.post(
        "/check-video-duplicate",
        content=f'{{"link": "{link}"}}',
        headers={"Content-Type": "text/plain"},
    )
    assert answer.status_code == 200
    assert answer.json() == {"is_duplicate": True, "duplicate_for": MATCH.reference_id}
    assert service.orders[0].self_id == UUID
    service.matches = ()
    answer = client.post("/check-video-duplicate", json={"link": link})
    assert answer.json() == {"is_duplicate": False, "duplicate_for": ""}


@pytest.mark.parametrize(
    ("ends", "content", "status"),
    [
        (JobState.DONE, b"not json", 400),
        (JobState.DONE, b"{}", 400),
        (JobState.DONE, b'{"link": 7}', 400),
        (errors.NotAVideo("text"), b'{"link": "https://example.org/a"}', 400),
        (errors.SourceTooLarge("big"), b'{"link": "https://example.org/a"}', 400),
        (errors.StoreUnavailable("gone"), b'{"link": "https://example.org/a"}', 500),
        (JobState.QUEUED, b'{"link": "https://example.org/a"}', 500),
    ],
)
def test_the_original_client_sees_400_or_500_and_nothing_else(
    client: TestClient,
    service: FakeService,
    ends: JobState | errors.DublError,
    content: bytes,
    status: int,
) -> None:
    service.ends = ends
    assert client.post("/check-video-duplicate", content=content).status_code == status


def test_readiness_names_what_is_missing(
    client: TestClient, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    service.missing = ("embedder",)
    assert client.get("/readyz").status_code == 200, "the steps are not asked by each request"
    monkeypatch.setattr("serve_app.api.readiness.time.monotonic", lambda: float("inf"))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["waiting_for"]) == (503, ["embedder"])
    assert answer.json()["reasons"] == {"embedder": "is starting"}


def test_duplicates_inside_a_library_are_those_of_the_last_search(
    client: TestClient, tmp_path: Path
) -> None:
    missing = client.get("/v1/libraries/films/duplicates")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    members = (
        DuplicateMember(id="a", title="A", duration_s=9.0),
        DuplicateMember(id="b", title="", duration_s=8.0),
    )
    cluster = DuplicateCluster(
        members=members, pairs=(DuplicatePair(a="a", b="b", probability=0.98),)
    )
    write_duplicates(tmp_path, "films", (cluster,))
    found = client.get("/v1/libraries/films/duplicates").json()
    assert [one["id"] for one in found["clusters"][0]["members"]] == ["a", "b"]
    assert client.get("/v1/libraries/..%2F..%2Fetc/duplicates").status_code == 404


def test_the_api_describes_itself(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["info"]["title"] == "Video Duplicate Checker API"
    assert {"/v1/checks", "/v1/references", "/v1/libraries", "/check-video-duplicate"} <= set(
        document["paths"]
    )
    page = client.get("/docs")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "https://" not in page.text
    metrics = client.get("/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain")
    assert "dubl_verdicts_total" in metrics.text


def test_a_problem_carries_the_id_that_the_request_came_with(client: TestClient) -> None:
    answer = client.get("/v1/checks/none", headers={"X-Request-ID": "abc-1"})
    assert answer.json()["request_id"] == "abc-1"
    assert len(client.get("/none", headers={"X-Request-ID": "x" * 500}).json()["request_id"]) == 128


WINDOW = {"from": "2026-01-01", "until": "2027-01-01", "territories": ["ru"], "channels": []}


def test_rights_are_given_with_a_reference_and_changed(
    client: TestClient, service: FakeService
) -> None:
    rights = {"action": "track", "license_windows": [WINDOW]}
    body = client.post(
        "/v1/references", json={"link": LINK, "id": "r", "rights": rights}, headers=WAIT
    ).json()
    assert body["rights"] == {
        "action": "track",
        "license_windows": [
            WINDOW
            | {
                "from": "2026-01-01T00:00:00.000Z",
                "until": "2027-01-01T00:00:00.000Z",
                "territories": ["RU"],
            }
        ],
        "min_copied_s": 0.0,
        "excluded_segments": [],
        "modalities": None,
    }
    assert client.get("/v1/references/r").json()["rights"] == body["rights"]
    assert client.get("/v1/references").json()["items"][0]["rights"] == body["rights"]
    changed = client.patch("/v1/references/r", json={"rights": {"min_copied_s": 4}}).json()
    assert changed["rights"]["action"] == "block"
    assert service.library.references["r"].rights.min_copied_s == 4


def test_a_window_that_cannot_be_is_a_typed_error(client: TestClient, tmp_path: Path) -> None:
    wrong = {"license_windows": [{"from": "2027-01-01", "until": "2026-01-01"}]}
    answers = [
        client.post("/v1/references", json={"link": LINK, "rights": wrong}),
        client.post(
            "/v1/references",
            files={"file": ("a.mp4", b"bytes")},
            data={"rights": json.dumps(wrong)},
        ),
        client.patch("/v1/references/r", json={"rights": wrong}),
    ]
    assert {(one.status_code, one.json()["code"]) for one in answers} == {(400, "invalid_rights")}
    assert "`license_windows[0]` ends before it begins" in answers[0].json()["detail"]
    assert spooled(tmp_path) == []


def test_a_check_names_where_and_when_it_is_about(client: TestClient, service: FakeService) -> None:
    asked = {"link": LINK, "channel": "kids", "territory": "de", "time": "2026-02-03"}
    body = client.post("/v1/checks", json=asked, headers=WAIT).json()
    assert body["matches"][0]["rights"]["counts"] is True
    context = service.orders[0].context
    assert (context.channel, context.territory) == ("kids", "DE")
    assert context.time == "2026-02-03T00:00:00.000Z"
    refused = client.post("/v1/checks", json=asked | {"territory": "Bavaria"})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_rights")


def test_a_picture_is_searched_for_and_not_kept(
    client: TestClient, service: FakeService, tmp_path: Path
) -> None:
    file = {"file": ("a.png", b"bytes of a picture")}
    answer = client.post("/v1/search/frame?limit=1", files=file, data={"time_s": "2.5"})
    assert answer.json() == {
        "items": [
            {
                "reference_id": "ref-1",
                "library": "main",
                "similarity": 0.91,
                "spans": [{"start_s": 4.0, "end_s": 5.5}],
            }
        ]
    }
    assert service.videos.searches == [(2.5, [], 1)]
    for wrong in ({"time_s": "-1"}, {"time_s": "soon"}, {"times": "1"}):
        assert client.post("/v1/search/frame", files=file, data=wrong).status_code == 400
    assert client.post("/v1/search/frame", json={"time_s": 1}).status_code == 400
    assert spooled(tmp_path) == []


def test_the_nearest_references_are_shown_however_far(client: TestClient) -> None:
    identity = client.post("/v1/checks", json={"link": LINK}, headers=WAIT).json()["id"]
    near = client.get(f"/v1/checks/{identity}/nearest").json()["items"]
    assert [one["reference_id"] for one in near] == [
        MATCH.reference_id,
        WEAK_MATCH.reference_id,
    ]
    assert len(client.get(f"/v1/checks/{identity}/nearest?m=1").json()["items"]) == 1
    assert client.get("/v1/checks/none/nearest").status_code == 404


def test_a_quarantine_is_shown_and_decided(client: TestClient, service: FakeService) -> None:
    assert client.get("/v1/reviews/quarantine").json() == {"items": []}
    service.quarantine("ref-1")
    (item,) = client.get("/v1/reviews/quarantine?status=held").json()["items"]
    assert (item["status"], item["uploads"], item["decided_at"]) == ("held", 140, None)
    decision = {"reference_id": "ref-1", "decision": "keep", "reviewer": "anna"}
    assert client.post("/v1/reviews/quarantine", json=decision).json()["status"] == "kept"
    wrong = decision | {"decision": "burn"}
    assert client.post("/v1/reviews/quarantine", json=wrong).status_code == 400
    unknown = decision | {"reference_id": "none"}
    assert client.post("/v1/reviews/quarantine", json=unknown).status_code == 404


def test_a_library_is_calibrated_by_its_decisions(client: TestClient, service: FakeService) -> None:
    refused = client.post("/v1/libraries/main/calibrate")
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
    assert client.get("/v1/libraries/main/policy").json()["decisions"] is None
    service.judge("main")
    report = client.post("/v1/libraries/main/calibrate", json={"adopt": False}).json()
    assert (report["decisions"], report["copies"], report["adopted"]) == (40, 9, False)
    usual = load_settings(environment={}).policy.version
    assert client.get("/v1/libraries/main/policy").json()["version"] == usual
    client.post("/v1/libraries/main/calibrate")
    policy = client.get("/v1/libraries/main/policy").json()
    assert policy["version"] == f"{usual}+main.1"
    assert policy["duplicate_probability"] == pytest.approx(
        report["duplicate_after"]["threshold"], abs=1e-4
    )
    assert client.delete("/v1/libraries/main/policy").status_code == 204
    assert client.get("/v1/libraries/main/policy").json()["version"] == usual


@pytest.mark.parametrize(
    "name", [".", "..", "a/../b", "a/picture", "a/video", "a/evidence", "a/nearest", "a/matches/b"]
)
@pytest.mark.parametrize("path", ["/v1/checks", "/v1/references"])
def test_an_id_that_could_not_be_read_back_is_refused(
    client: TestClient, path: str, name: str
) -> None:
    answer = client.post(path, json={"link": LINK, "id": name})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert "`id`" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/checks", "/v1/references"])
def test_two_spellings_of_a_name_are_one_id(client: TestClient, path: str) -> None:
    one, two = (unicodedata.normalize(form, "café/й") for form in ("NFC", "NFD"))
    made = [
        client.post(path, json={"link": LINK, "id": name}, headers=WAIT).json()["id"]
        for name in (two, one)
    ]
    assert made == [one, one]
    for name in (one, two):
        assert client.get(f"{path}/{quote(name, safe='')}").json()["id"] == one
