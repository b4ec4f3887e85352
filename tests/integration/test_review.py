"""A match looked at, rejected and remembered, with true pictures; in this process, without Ray."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dubl.assembly import make_evidence_store
from dubl.errors import EvidenceNotKept
from dubl.media.evidence_store import EvidenceStore
from dubl.settings import Settings, load_settings
from tests.integration.conftest import Clips
from tests.support.in_process import running_app
from tests.support.service import WAIT, Client


@pytest.fixture(scope="module")
def settings(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    overrides = [
        f"data_dir={tmp_path_factory.mktemp('desk')}",
        f"media.allowed_roots=[{clips.folder}]",
        "policy.sure_probability=1.0",  # pixels are looked at, however sure the features are
    ]
    return load_settings("configs/local.yaml", overrides, environment={})


@pytest.fixture(scope="module")
def kept(settings: Settings) -> EvidenceStore:
    return make_evidence_store(settings)


@pytest.fixture(scope="module")
def desk(clips: Clips, settings: Settings) -> Iterator[Client]:
    """A service that knows the references."""
    with running_app(settings) as address, Client(address) as client:
        for path in clips.references:
            assert client.register(path, id=path.stem).status_code == 201
        yield client


def copy_of(clips: Clips, number: int) -> tuple[Path, str]:
    """A trimmed copy and its reference's id."""
    path = clips.queries("trim")[number]
    return path, Path(clips.truth.queries[path.name].matches[0].reference).stem


def decide(desk: Client, check_id: str, reference_id: str, decision: str) -> None:
    pair = {"check_id": check_id, "reference_id": reference_id}
    sent = pair | {"decision": decision, "reviewer": "anna", "note": "our own trailer"}
    assert desk.http.post("/v1/reviews", json=sent).status_code == 201


def test_a_copy_is_shown_beside_its_original(desk: Client, clips: Clips) -> None:
    path, reference = copy_of(clips, 0)
    check = desk.check(path).json()
    at = f"/v1/checks/{check['id']}/matches/{reference}/evidence"
    evidence = desk.http.get(at).json()
    assert evidence["outcome"] == check["outcome"] == "duplicate"
    alike = []
    for pair in evidence["pairs"]:
        ours, theirs = (
            np.asarray(
                Image.open(io.BytesIO(desk.http.get(pair[name]).content)).convert("L"), dtype=float
            )
            for name in ("query_picture", "reference_picture")
        )
        alike.append(float(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]))
    assert np.median(alike) > 0.7
    assert desk.http.get(evidence["query"]["video"]).content == path.read_bytes()
    for stage in ("frames", "network"):
        picture = desk.http.get(f"{at}/matrix.png", params={"stage": stage})
        assert Image.open(io.BytesIO(picture.content)).format == "PNG"


def test_nothing_is_kept_of_what_matches_nothing(desk: Client, clips: Clips) -> None:
    stranger = next(
        clips.folder / "queries" / name
        for name, query in clips.truth.queries.items()
        if not query.matches
    )
    check = desk.check(stranger).json()
    assert check["outcome"] == "unique"
    assert desk.http.get(f"/v1/checks/{check['id']}/video").status_code == 404


def test_not_a_match_is_remembered_for_these_bytes_until_it_is_reopened(
    desk: Client, clips: Clips
) -> None:
    path, reference = copy_of(clips, 1)
    first = desk.check(path).json()
    assert first["matches"][0]["reference_id"] == reference
    for match in first["matches"]:
        decide(desk, first["id"], match["reference_id"], "rejected")
    again = desk.check(path).json()
    assert (again["outcome"], again["matches"]) == ("unique", [])
    everything = desk.http.get(f"/v1/checks/{again['id']}", params={"min_probability": 0}).json()
    assert [one["rejected"] for one in everything["matches"] if one["reference_id"] == reference]
    decide(desk, first["id"], reference, "reopened")
    reopened = desk.check(path).json()
    assert [match["reference_id"] for match in reopened["matches"]] == [reference]
    assert reopened["outcome"] == "duplicate"


def test_the_queue_leads_from_the_check_to_the_decision(desk: Client, clips: Clips) -> None:
    path, reference = copy_of(clips, 2)
    check = desk.check(path).json()
    queue = desk.http.get("/v1/reviews/queue", params={"state": "open"}).json()
    found = queue["items"][0]
    assert (found["check_id"], found["reference_id"]) == (check["id"], reference)
    decide(desk, check["id"], reference, "confirmed")
    after = desk.http.get("/v1/reviews/queue", params={"state": "open"}).json()
    assert check["id"] not in [item["check_id"] for item in after["items"]]
    assert after["counts"]["open"] == queue["counts"]["open"] - 1


def test_a_reference_from_an_archive_gets_its_pictures_when_they_are_wanted(
    desk: Client, clips: Clips, kept: EvidenceStore
) -> None:
    path, reference = copy_of(clips, 2)
    original = next(one for one in clips.references if one.stem == reference)
    sent = {"path": str(original), "id": "archived", "library": "archive"}
    assert desk.http.post("/v1/references", json=sent, headers=WAIT).status_code == 201
    kept.remove_reference("archived")  # as if an indexing job had registered it
    check = desk.check(path, library="archive").json()
    assert check["matches"][0]["agreement"] > 0.9  # by its file
    with pytest.raises(EvidenceNotKept):
        kept.reference("archived")
    evidence = desk.http.get(f"/v1/checks/{check['id']}/matches/archived/evidence").json()
    picture = desk.http.get(evidence["pairs"][0]["reference_picture"])
    assert Image.open(io.BytesIO(picture.content)).format == "JPEG"
    assert desk.http.get(evidence["reference"]["video"]).content == original.read_bytes()


def test_a_deleted_reference_takes_its_pictures_with_it(desk: Client, clips: Clips) -> None:
    path = clips.references[0]
    assert desk.http.get(f"/v1/references/{path.stem}/picture").status_code == 200
    assert desk.http.delete(f"/v1/references/{path.stem}").status_code == 204
    assert desk.http.get(f"/v1/references/{path.stem}/picture").status_code == 404
