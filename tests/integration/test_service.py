"""The product's main job over HTTP, on a real Serve app."""

from __future__ import annotations

import functools
import http.server
import re
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from dubl.engine.flow import PART_ROWS
from dubl.fingerprints import Fingerprinter
from dubl.media.kinds import FINGERPRINT_TYPE
from tests.integration.conftest import Clips
from tests.support.numbered_clip import write_numbered_clip
from tests.support.service import WAIT, Client
from tests.support.spans import names_in_trace

STAGES = {"source", "decode", "embed", "retrieve", "rerank", "total"}


@pytest.fixture(scope="module", autouse=True)
def registered(client: Client, clips: Clips) -> list[str]:
    """Ids of the three references, registered once."""
    answers = [client.register(path, id=path.name, owner="studio") for path in clips.references]
    assert [answer.status_code for answer in answers] == [201, 201, 201], answers[0].text
    return [answer.json()["id"] for answer in answers]


def test_an_edited_copy_is_found_with_its_seconds(client: Client, clips: Clips) -> None:
    for path in [*clips.queries("recode"), *clips.queries("trim")]:
        (wanted,) = clips.truth.queries[path.name].matches
        body = client.check(path).json()
        assert body["outcome"] == "duplicate", (path.name, body)
        best = body["matches"][0]
        assert best["reference_id"] == wanted.reference
        segment = best["segments"][0]
        for start_or_end, true_s in (
            ("query_start_s", wanted.q[0]),
            ("query_end_s", wanted.q[1]),
            ("reference_start_s", wanted.r[0]),
            ("reference_end_s", wanted.r[1]),
        ):
            assert abs(segment[start_or_end] - true_s) <= 1.5, (path.name, segment, wanted)


@pytest.mark.slow  # 562 pictures are embedded
def test_a_long_film_is_registered_in_parts(client: Client, tmp_path: Path) -> None:
    """Its frames go from the decoder to the embedder part by part."""
    path = tmp_path / "long.mp4"
    write_numbered_clip(path, frames=PART_ROWS + 50, frame_rate=1, size=(96, 64))
    made = client.register(path, id="long")
    assert made.status_code == 201, made.text
    assert made.json()["frame_count"] == PART_ROWS + 50
    assert client.http.delete("/v1/references/long").status_code == 204


def test_a_fingerprint_gets_the_verdict_of_its_video(
    client: Client, clips: Clips, tmp_path: Path
) -> None:
    path = clips.queries("trim")[0]
    with Fingerprinter() as maker:
        content = maker.write(path, tmp_path).read_bytes()
    headers = WAIT | {"Content-Type": FINGERPRINT_TYPE}
    answer = client.http.post("/v1/checks", content=content, headers=headers)
    wanted, found = client.check(path).json(), answer.json()
    assert answer.status_code == 200, found
    assert found["needs"] is None
    assert found["outcome"] == wanted["outcome"] == "duplicate"
    best = [one["matches"][0]["reference_id"] for one in (found, wanted)]
    assert best[0] == best[1]
    cut = client.http.post("/v1/checks", content=content[:2000], headers=headers)
    assert (cut.status_code, cut.json()["code"]) == (422, "invalid_fingerprint")


def test_a_stranger_is_unique(client: Client, clips: Clips) -> None:
    for path in [*clips.queries("stranger"), *clips.queries("edited_stranger")]:
        body = client.check(path).json()
        assert (body["outcome"], body["matches"]) == ("unique", []), path.name


def test_a_verdict_tells_its_stages_and_is_kept(client: Client, clips: Clips) -> None:
    answer = client.check(clips.references[0])
    body = answer.json()
    assert set(body["timings_ms"]) >= STAGES
    assert body["timings_ms"]["total"] >= body["timings_ms"]["decode"] > 0
    assert body["model_id"].startswith("dubl-compact@")
    kept = client.http.get(f"/v1/checks/{body['id']}")
    assert kept.json() == body
    listed = client.http.get("/v1/checks", params={"reference_id": clips.references[0].name})
    assert body["id"] in [item["id"] for item in listed.json()["items"]]


def test_a_match_is_shown_with_pictures_and_decided_on(client: Client, clips: Clips) -> None:
    check = client.check(clips.queries("trim")[0]).json()
    reference = check["matches"][0]["reference_id"]
    at = f"/v1/checks/{check['id']}/matches/{reference}/evidence"
    evidence = client.http.get(at).json()
    assert evidence["outcome"] == "duplicate"
    for address in (evidence["pairs"][0]["query_picture"], evidence["query"]["video"]):
        assert client.http.get(address).status_code == 200, address
    assert client.http.get(f"{at}/matrix.png?stage=network").content.startswith(b"\x89PNG")
    decision = {"check_id": check["id"], "reference_id": reference, "decision": "confirmed"}
    assert client.http.post("/v1/reviews", json=decision).status_code == 201
    queue = client.http.get("/v1/reviews/queue", params={"state": "confirmed"}).json()
    assert check["id"] in [item["check_id"] for item in queue["items"]]
    assert "<title>Dubl</title>" in client.http.get("/").text


def test_an_id_gives_its_verdict_again_and_is_no_other_videos(client: Client, clips: Clips) -> None:
    first, other = clips.queries("trim")[0], clips.queries("recode")[0]
    told = client.check(first, id="mine").json()
    assert client.check(first, id="mine").json() == told
    refused = client.check(other, id="mine")
    assert (refused.status_code, refused.json()["code"]) == (409, "state_conflict")
    evidence = client.http.get(
        f"/v1/checks/mine/matches/{told['matches'][0]['reference_id']}/evidence"
    )
    assert evidence.json()["query"]["name"] == first.name
    assert client.http.get("/v1/checks/mine").json() == told


def test_what_asks_for_no_token_listens_on_loopback_only(client: Client) -> None:
    assert client.http.get("/healthz").status_code == 200
    (service,) = (
        child for child in psutil.Process().children() if "serve_app.main" in child.cmdline()
    )
    # Serve's replicas take calls of one another on all addresses, with Ray's token.
    open_to_all = {
        process.name()
        for process in (service, *service.children(recursive=True))
        if not process.cmdline()[0].startswith("ray::ServeReplica")
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
        and connection.laddr.ip not in ("127.0.0.1", "::ffff:127.0.0.1")
    }
    assert open_to_all == set()


def test_metrics_count_verdicts_and_time_stages(client: Client, clips: Clips) -> None:
    client.check(clips.references[0])
    wanted = (
        r'^dubl_verdicts_total\{.*outcome="duplicate"',
        r'^dubl_stage_seconds_count\{.*stage="decode"',
        r'^dubl_http_request_duration_seconds_count\{.*route="/v1/checks"',
        r"^dubl_check_similarity_bucket\{",
        r"^dubl_check_candidates_count\{",
        r'^dubl_inputs_total\{.*size="240p"',
        r'^dubl_jobs_unfinished\{.*state="queued"',
        r'^dubl_index_frames\{.*state="all"',
        r"^dubl_references\{",
    )
    missing, give_up_at = list(wanted), time.monotonic() + 90
    # Processes report once a second, and a gauge is there in the second after it was set.
    while missing:
        assert time.monotonic() < give_up_at, missing
        text = client.http.get("/metrics").text
        missing = [one for one in missing if not re.search(one, text, re.MULTILINE)]
        time.sleep(0.5)


def test_one_trace_leads_through_all_deployments(client: Client, clips: Clips) -> None:
    trace = uuid.uuid4().hex
    with clips.references[0].open("rb") as file:
        client.http.post(
            "/v1/checks",
            files={"file": ("a.mp4", file)},
            headers={**WAIT, "traceparent": f"00-{trace}-00f067aa0ba902b7-01"},
        )
    names = " ".join(sorted(names_in_trace(trace)))
    steps = ("job check", "Decoder", "Embedder", "Retriever", "Reranker", "Ledger")
    assert [step for step in steps if step not in names] == [], names


def logged(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    logs = Path(tmp_path_factory.getbasetemp()).rglob("logs/**/*.log")
    return [line for log in logs for line in log.read_text(errors="replace").splitlines()]


def test_what_is_not_there_is_a_line_in_the_log_without_a_trace(
    client: Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = f"none-{uuid.uuid4()}"
    for kind in ("check", "reference", "job"):
        answer = client.http.get(f"/v1/{kind}s/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, f"{kind}_not_found")
    lines = [line for line in logged(tmp_path_factory) if "there is no" in line and name in line]
    assert {kind for kind in ("check", "reference", "job") if f"{kind}_not_found" in str(lines)}
    assert [line for line in lines if "ERROR" in line or "dubl.errors." in line] == []


def test_the_log_shows_every_stage_under_the_requests_id(
    client: Client, clips: Clips, tmp_path_factory: pytest.TempPathFactory
) -> None:
    request_id = f"trace-{uuid.uuid4()}"
    with clips.references[0].open("rb") as file:
        client.http.post(
            "/v1/checks",
            files={"file": ("a.mp4", file)},
            headers={**WAIT, "X-Request-ID": request_id},
        )
    lines = [line for line in logged(tmp_path_factory) if request_id in line]
    for step in ("Decoder", "Embedder", "Retriever", "Reranker", "Ingress"):
        assert any(step in line for line in lines), (step, lines)


def test_the_same_bytes_are_one_reference(client: Client, clips: Clips) -> None:
    path = clips.references[0]
    before = _libraries(client)
    again = client.register(path, id="another-id")
    assert (again.status_code, again.json()["code"]) == (409, "already_registered")
    assert again.json()["context"] == {"existing_id": path.name}
    assert client.http.get("/v1/references/another-id").json()["status"] == "failed"
    nameless = client.register(path)
    assert (nameless.status_code, nameless.json()["id"]) == (200, path.name)
    elsewhere = client.register(path, id="another-id", library="elsewhere")
    assert (elsewhere.status_code, elsewhere.json()["library"]) == (201, "elsewhere")
    assert _libraries(client) == {**before, "elsewhere": 1}
    assert client.http.delete("/v1/references/another-id").status_code == 204


def test_twins_registered_at_the_same_time_are_one_reference(client: Client, clips: Clips) -> None:
    (path,) = clips.queries("stranger")
    with ThreadPoolExecutor(2) as pool:  # as many may wait on the smallest machine
        answers = list(pool.map(lambda _: client.register(path, library="twins"), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    (only,) = {answer.json()["id"] for answer in answers}
    assert client.http.delete(f"/v1/references/{only}").status_code == 204


def test_a_deleted_reference_is_in_no_answer(client: Client, clips: Clips) -> None:
    (path,) = clips.queries("stranger")
    assert client.register(path, id="short/lived клип").status_code == 201
    assert client.check(path).json()["outcome"] == "duplicate"
    found = client.http.get("/v1/references/short%2Flived%20клип")
    assert found.json()["id"] == "short/lived клип"
    assert client.http.delete("/v1/references/short%2Flived%20клип").status_code == 204
    assert client.check(path).json()["outcome"] == "unique"
    assert client.http.get("/v1/references/short%2Flived%20клип").status_code == 404


def test_a_check_may_be_limited_to_libraries(client: Client, clips: Clips) -> None:
    registered = _libraries(client)["main"]
    unknown = client.check(clips.references[0], library="maim")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "library_not_found")
    assert "There are: main" in unknown.json()["detail"]
    found = client.check(clips.references[0], library="main").json()
    assert found["outcome"] == "duplicate"
    assert found["searched"] == {"references": registered, "libraries": ["main"]}


def test_references_are_listed_by_page_and_filter(client: Client, registered: list[str]) -> None:
    seen, cursor = [], None
    while True:
        params = {"limit": 1, "owner": "studio"} | ({"cursor": cursor} if cursor else {})
        page = client.http.get("/v1/references", params=params).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(registered)
    found = client.http.get("/v1/references", params={"q": registered[1]}).json()["items"]
    assert [item["id"] for item in found] == [registered[1]]


def test_a_reference_is_changed(client: Client, registered: list[str]) -> None:
    url = f"/v1/references/{registered[0]}"
    changed = client.http.patch(url, json={"title": "It's «новый»", "metadata": {"a": [1]}}).json()
    assert (changed["title"], changed["metadata"]) == ("It's «новый»", {"a": [1]})
    assert client.http.get(url).json() == changed
    assert client.http.patch("/v1/references/none", json={"title": "x"}).status_code == 404


def test_without_wait_the_result_comes_later(client: Client, clips: Clips) -> None:
    with clips.references[1].open("rb") as file:
        accepted = client.http.post("/v1/checks", files={"file": ("b.mp4", file)})
    assert accepted.status_code == 202
    job = client.http.get(f"/v1/jobs/{accepted.json()['job_id']}").json()
    assert job["kind"] == "check"
    later = client.http.get(accepted.headers["Location"], headers=WAIT).json()
    assert (later["status"], later["outcome"]) == ("done", "duplicate")


def test_a_reference_may_be_registered_by_path_inside_the_allowed_folder(
    client: Client, clips: Clips
) -> None:
    path = clips.references[2]
    body = {"path": str(path), "library": "by-path", "id": "by-path"}
    answer = client.http.post("/v1/references", json=body, headers=WAIT)
    assert answer.status_code == 201, answer.text
    assert client.http.delete("/v1/references/by-path").status_code == 204
    outside = client.http.post("/v1/references", json={"path": "/etc/passwd"}, headers=WAIT)
    assert (outside.status_code, outside.json()["code"]) == (403, "source_forbidden")


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "empty_file"), (b"no video at all" * 100, "not_a_video")],
)
def test_a_bad_file_is_refused_with_its_own_code(
    client: Client, tmp_path: Path, content: bytes, code: str
) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    answer = client.check(path)
    assert 400 <= answer.status_code < 500
    assert answer.json()["code"] == code
    assert answer.json()["hint"]


def test_what_can_be_read_of_a_damaged_file_is_compared_and_the_answer_says_so(
    client: Client, clips: Clips, tmp_path: Path
) -> None:
    (whole,) = [path for path in clips.references if path.suffix == ".webm"][:1]
    content = whole.read_bytes()
    cut = tmp_path / whole.name
    cut.write_bytes(content[: len(content) * 7 // 10])
    body = client.check(cut).json()
    assert (body["outcome"], body["matches"][0]["reference_id"]) == ("duplicate", whole.name)
    assert body["damaged"]
    assert not client.check(whole).json()["damaged"]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which it is served."""
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_original_client_is_served_by_link(
    client: Client, clips: Clips, web: tuple[Path, str]
) -> None:
    folder, base = web
    original, copy = str(uuid.uuid4()), str(uuid.uuid4())
    (source,) = clips.queries("stranger")
    for name in (original, copy):
        (folder / f"{name}.mp4").write_bytes(source.read_bytes())
    link = f"{base}/{original}.mp4"
    answer = client.http.post("/v1/references", json={"link": link}, headers=WAIT)
    assert (answer.status_code, answer.json()["id"]) == (201, original)

    def ask(name: str) -> dict[str, object]:
        body = {"link": f"{base}/{name}.mp4"}
        answer = client.http.post("/check-video-duplicate", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert ask(copy) == {"is_duplicate": True, "duplicate_for": original}
    # A video that is in the base already is not a copy of itself.
    assert ask(original) == {"is_duplicate": False, "duplicate_for": ""}
    missing = client.http.post("/check-video-duplicate", json={"link": f"{base}/none.mp4"})
    assert missing.status_code == 400
    assert client.http.delete(f"/v1/references/{original}").status_code == 204


def _libraries(client: Client) -> dict[str, int]:
    """How many references each has."""
    items = client.http.get("/v1/libraries").json()["items"]
    return {item["name"]: item["references"] for item in items}
