"""Videos that are asked about by their fingerprints: over HTTP, by the clients, in a folder."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from dubl import ApiError, Client, JobFailed, LocalClient
from dubl.evaluation.attack_suite import SuiteOptions, write_suite
from dubl.evaluation.suite import QUERIES, REFERENCES, SuiteRoles
from dubl.fingerprints import Fingerprinter
from dubl.footage.scenes import generate_library
from dubl.index.keys import DIGEST_BYTES, KnownKeys
from dubl.media.kinds import FINGERPRINT_TYPE
from dubl.settings import Settings, load_settings
from pipelines.archive_source import ArchiveItem
from pipelines.archive_stages import DecodeStage, EmbedStage
from pipelines.cli.main import app
from tests.support.in_process import running_app
from tests.support.numbered_clip import write_numbered_clip
from tests.support.other_weights import other_weights

TYPE = {"Content-Type": FINGERPRINT_TYPE}
WAIT = {"Prefer": "wait=60"}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two films, an excerpt of the first, and a stranger; each with its fingerprint beside it."""
    folder = tmp_path_factory.mktemp("films")
    made = generate_library(
        folder / "made", count=2, seed=11, size=(320, 180), shortest_s=6, longest_s=8
    )
    roles = SuiteRoles(references=tuple(made))
    truth = write_suite(
        folder / "suite", roles, options=SuiteOptions(edits=("trim:0.4",), per_reference=0, seed=11)
    )
    film, other = truth.references
    queries = folder / "suite" / QUERIES
    found = {
        "film": folder / "suite" / REFERENCES / film,
        "other": folder / "suite" / REFERENCES / other,
        "stranger": folder / "stranger.mp4",
    }
    write_numbered_clip(found["stranger"], frames=150)
    for name, query in truth.queries.items():
        if query.matches[0].reference == film:
            found["copy"] = queries / name
    with Fingerprinter() as maker:
        prints = {f"{name}.dubl": maker.write(path, folder) for name, path in found.items()}
    return found | prints


def settings_in(folder: Path, *overrides: str) -> Settings:
    return load_settings(overrides=[f"data_dir={folder}", "evidence.keep=all", *overrides])


@pytest.fixture(scope="module")
def address(films: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that holds the first film."""
    with running_app(settings_in(tmp_path_factory.mktemp("service"))) as address:
        with Client(address) as client:
            client.register(films["film"], id="film")
        yield address


@pytest.fixture(scope="module")
def doubting(films: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that looks at the pixels of every match."""
    settings = settings_in(tmp_path_factory.mktemp("doubting"), "policy.sure_probability=1")
    with running_app(settings) as address:
        with Client(address) as client:
            client.register(films["film"], id="film")
        yield address


def post(address: str, path: str, content: bytes) -> httpx.Response:
    return httpx.post(f"{address}{path}", content=content, headers=TYPE | WAIT, timeout=90)


@pytest.mark.parametrize("name", ["film", "copy", "stranger"])
def test_the_verdict_is_that_of_the_video(address: str, films: dict[str, Path], name: str) -> None:
    answer = post(address, "/v1/checks?min_probability=0", films[f"{name}.dubl"].read_bytes())
    assert answer.status_code == 200, answer.text
    by_print = answer.json()
    with Client(address) as client:
        by_video = client.check(films[name]).model_dump()
    assert by_print["needs"] is None
    assert "fingerprint" in by_print["notes"]
    assert by_video["notes"] == ()
    assert by_print["outcome"] == by_video["outcome"]
    assert abs(by_print["probability"] - by_video["probability"]) < 0.02
    best = zip(by_print["matches"], by_video["matches"], strict=False)
    for one, two in list(best)[: name != "stranger"]:
        assert one["reference_id"] == two["reference_id"]
        for at in ("query_start_s", "reference_end_s"):
            assert abs(one["segments"][0][at] - two["segments"][0][at]) < 0.6


def test_it_may_be_a_part_of_a_form_with_fields(address: str, films: dict[str, Path]) -> None:
    answer = httpx.post(
        f"{address}/v1/checks",
        files={"file": ("any name", films["copy.dubl"].read_bytes())},
        data={"id": "by form"},
        headers=WAIT,
        timeout=90,
    )
    body = answer.json()
    assert (body["id"], body["outcome"], body["query_name"]) == ("by form", "duplicate", "any name")


def test_fields_of_a_body_are_in_the_address(address: str, films: dict[str, Path]) -> None:
    content = films["copy.dubl"].read_bytes()
    assert post(address, "/v1/checks?id=by/address", content).json()["id"] == "by/address"
    answer = post(address, "/v1/checks?ownr=me", content)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_batch_takes_them_beside_videos(address: str, films: dict[str, Path]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("copy.dubl", "stranger"):
            archive.write(films[name], name)
        archive.writestr("cut.dubl", films["copy.dubl"].read_bytes()[:2000])
    files = {"file": ("batch.zip", buffer.getvalue())}
    job = httpx.post(f"{address}/v1/batches", files=files, headers=WAIT, timeout=90).json()
    with Client(address) as client:
        client.wait_for_job(job["job_id"])
        ended = client.list_jobs(batch=job["job_id"]).items
        found = {client.wait_for_check(one.subject_id).query_name for one in ended if not one.error}
    assert found == {"copy.dubl", "stranger"}
    assert [one.error.code for one in ended if one.error] == ["invalid_fingerprint"]


def test_evidence_is_of_features_and_says_what_is_missing(
    address: str, films: dict[str, Path]
) -> None:
    body = post(address, "/v1/checks", films["copy.dubl"].read_bytes()).json()
    with Client(address) as client:
        evidence = client.get_evidence(body["id"], "film")
        assert evidence.pairs
        assert evidence.query.picture is None
        assert evidence.query.video is None
        assert evidence.query.picture_times_s == ()
        assert evidence.reference.picture is not None
        assert client.download(evidence.matrix_picture).startswith(b"\x89PNG")
        with pytest.raises(ApiError, match="evidence_not_kept"):
            client.download(f"/v1/checks/{body['id']}/picture?at=1")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda content: content[:3000], "invalid_fingerprint"),
        (lambda _: b"\0" * 500, "invalid_fingerprint"),
        (lambda _: b"", "invalid_fingerprint"),
        (
            lambda content: content.replace(b"application/vnd.dubl.f", b"text/plain            "),
            "invalid_fingerprint",
        ),
    ],
)
@pytest.mark.parametrize("path", ["/v1/checks", "/v1/references"])
def test_what_is_none_is_refused_with_its_code(
    address: str, films: dict[str, Path], path: str, change: Callable[[bytes], bytes], code: str
) -> None:
    answer = post(address, path, change(films["other.dubl"].read_bytes()))
    body = answer.json()
    assert 400 <= answer.status_code < 500
    assert body["code"] == code
    assert body["hint"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of another feature space."""
    return other_weights(tmp_path_factory.mktemp("weights") / "other")


def test_another_model_is_refused(
    address: str, films: dict[str, Path], weights: Path, tmp_path: Path
) -> None:
    with Fingerprinter(load_settings(overrides=[f"model.weights={weights}"])) as maker:
        made = maker.write(films["copy"], tmp_path)
    body = post(address, "/v1/checks", made.read_bytes()).json()
    assert body["code"] == "fingerprint_mismatch"
    assert "weights_sha256" in body["detail"]


def test_a_reference_needs_no_video(address: str, films: dict[str, Path]) -> None:
    answer = post(
        address,
        "/v1/references?id=other&title=Other&library=prints",
        films["other.dubl"].read_bytes(),
    )
    body = answer.json()
    assert (answer.status_code, body["id"], body["title"]) == (201, "other", "Other"), body
    with Client(address) as client:
        check = client.check(films["other"], libraries=["prints"])
        assert [one.reference_id for one in check.matches] == ["other"]
        assert check.outcome == "duplicate"
        again = client.register(films["other.dubl"], library="prints")
        assert again.id == "other"
        evidence = client.get_evidence(check.id, "other")
        assert evidence.reference.picture is None


def test_a_doubtful_answer_asks_for_the_video(doubting: str, films: dict[str, Path]) -> None:
    body = post(doubting, "/v1/checks", films["copy.dubl"].read_bytes()).json()
    assert body["needs"] == "video"
    body = post(doubting, "/v1/checks", films["stranger.dubl"].read_bytes()).json()
    assert body["needs"] is None


class Counted(httpx.HTTPTransport):
    """Notes the bytes of each submission."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[int] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.sent.append(int(request.headers["Content-Length"]))
        return super().handle_request(request)


def test_the_client_sends_the_file_only_in_doubt(
    address: str, doubting: str, films: dict[str, Path]
) -> None:
    size_bytes, print_bytes = (films[name].stat().st_size for name in ("copy", "copy.dubl"))
    for place, posts in ((address, 1), (doubting, 2)):
        counted = Counted()
        with Client(place, transport=counted) as client:
            check = client.check(films["copy"], send="fingerprint-first")
        assert len(counted.sent) == posts
        assert counted.sent[0] < print_bytes + 2000
        assert (check.outcome, check.needs) == ("duplicate", None)
        assert ("fingerprint" in check.notes) == (posts == 1)
    assert counted.sent[1] > size_bytes


def test_a_service_with_another_model_gets_the_file(
    films: dict[str, Path], weights: Path, tmp_path: Path
) -> None:
    counted = Counted()
    with (
        running_app(settings_in(tmp_path, f"model.weights={weights}")) as place,
        Client(place, transport=counted) as client,
    ):
        check = client.check(films["stranger"], send="fingerprint-first")
        with pytest.raises(JobFailed, match="fingerprint_mismatch"):
            client.check(films["stranger.dubl"])
    assert len(counted.sent) == 3
    assert check.outcome == "unique"
    assert "fingerprint" not in check.notes


def test_the_client_says_what_cannot_go_first(address: str) -> None:
    with Client(address) as client, pytest.raises(ValueError, match="takes a file"):
        client.check(link="https://example.org/a.mp4", send="fingerprint-first")


def test_a_folder_of_data_takes_them_too(films: dict[str, Path], tmp_path: Path) -> None:
    with LocalClient(tmp_path) as dubl:
        dubl.register(films["film.dubl"], id="film")
        assert dubl.check(films["copy"]).outcome == "duplicate"
        assert dubl.check(films["copy.dubl"]).matches[0].reference_id == "film"
        assert dubl.check(films["stranger.dubl"]).outcome == "unique"


def test_an_archive_may_hold_them(films: dict[str, Path], tmp_path: Path) -> None:
    settings, none = settings_in(tmp_path), np.zeros(0, f"S{DIGEST_BYTES}")
    known = KnownKeys(ids=none, places=none, contents=none, unheard=none)
    (tmp_path / "cut.dubl").write_bytes(films["film.dubl"].read_bytes()[:1000])
    paths = [films["film.dubl"], films["film"], tmp_path / "cut.dubl"]
    items = [ArchiveItem(id=path.name, path=str(path)) for path in paths]
    listed = {"items": pickle.dumps(items), "present": 0, "elsewhere": 0, "passed_over": 0}
    rows = list(DecodeStage(settings, known, "main")(listed))
    batch = {name: np.array([row[name] for row in rows], dtype=object) for name in rows[0]}
    described = EmbedStage(settings)(batch)["features"]
    by_print, by_video = map(pickle.loads, described[:2])
    assert np.abs(by_print.timestamps_s - by_video.timestamps_s).max() < 0.5
    assert (by_print.descriptors * by_video.descriptors).sum(-1).min() > 0.9
    assert not described[2]
    assert pickle.loads(rows[2]["error"])[0] == "invalid_fingerprint"


def test_the_command_makes_and_asks_them(
    address: str, films: dict[str, Path], tmp_path: Path
) -> None:
    run = CliRunner().invoke
    out = tmp_path / "prints"
    made = run(app, ["fingerprint", str(films["copy"]), str(tmp_path / "absent"), "-o", str(out)])
    assert made.exit_code == 1, made.output
    (path,) = out.iterdir()
    assert path.name == f"{films['copy'].name}.dubl"
    assert path.read_bytes() == films["copy.dubl"].read_bytes()
    asked = run(app, ["check", str(path), "--url", address])
    assert asked.exit_code == 10, asked.output
    first = run(app, ["check", str(films["copy"]), "--fingerprint-first", "--url", address])
    assert first.exit_code == 10, first.output


def test_eight_kilobytes_hold_a_second(films: dict[str, Path]) -> None:
    for name in ("film", "other", "stranger"):
        with zipfile.ZipFile(films[f"{name}.dubl"]) as archive:
            duration_s = json.loads(archive.read("about.json"))["facts"]["duration_s"]
        assert films[f"{name}.dubl"].stat().st_size <= 8000 * duration_s
