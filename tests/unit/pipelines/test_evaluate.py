"""`pipelines.evaluate` measures a folder of another maker and writes a report of it."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from dubl.footage.scenes import generate_scene_video
from pipelines.evaluate import main

SIZE = (160, 96)
REFERENCES = ("one.mp4", "two.mp4")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two references, a copy of each, a stranger, a broken file and one that is not there."""
    folder = tmp_path_factory.mktemp("set") / "suite"
    for part in ("references", "queries"):
        (folder / part).mkdir(parents=True)
    for seed, name in enumerate(REFERENCES):
        _clip(folder / "references" / name, seed)
        shutil.copyfile(folder / "references" / name, folder / "queries" / f"copy_{name}")
    _clip(folder / "queries" / "stranger.mp4", 9)
    (folder / "queries" / "broken.mp4").write_bytes(b"no video at all" * 100)
    copies = {
        name: {"attack": "none", "matches": [{"reference": one, "q": [0, 5], "r": [0, 5]}]}
        for name, one in [
            *((f"copy_{name}", name) for name in REFERENCES),
            ("broken.mp4", "one.mp4"),
            ("absent.mp4", "one.mp4"),
        ]
    }
    queries = {**copies, "stranger.mp4": {"attack": "stranger", "matches": []}}
    truth = {"queries": queries, "references": list(REFERENCES)}
    (folder / "truth.json").write_text(json.dumps(truth))
    return folder


def _clip(path: Path, seed: int) -> None:
    generate_scene_video(path, seed=seed, duration_s=5, size=SIZE, frame_rate=10)


@pytest.fixture(scope="module")
def report(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "report"
    result = _run("--set", str(suite), "--out", str(out), "--set-option", "policy.version=test")
    assert result.exit_code == 0, result.output
    return out


def _run(*arguments: str):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, arguments)


def test_exact_copies_are_found_with_their_seconds(report: Path) -> None:
    summary = json.loads((report / "summary.json").read_text())
    assert summary["figures"]["recall_duplicate"]["value"] == 0.5, "two of four files were readable"
    assert summary["figures"]["false_positives_strangers_duplicate"]["value"] == 0
    assert summary["figures"]["end_error_median_s"]["value"] < 0.5
    assert summary["settings"]["policy"]["version"] == "test"


def test_a_failing_video_is_a_row_and_not_the_end(report: Path) -> None:
    rows = {row["query"]: row for row in pq.read_table(report / "queries.parquet").to_pylist()}
    assert rows["broken.mp4"]["failure"] == "not_a_video"
    assert rows["absent.mp4"]["failure"] == "source_not_found"
    assert rows["copy_one.mp4"]["failure"] == ""
    page = (report / "report.md").read_text()
    assert "queries/broken.mp4" in page
    assert "Videos that failed" in page


def test_every_pair_is_a_row(report: Path) -> None:
    pairs = pq.read_table(report / "pairs.parquet").to_pylist()
    assert len(pairs) == 5 * 2
    best = next(p for p in pairs if p["query"] == "copy_two.mp4" and p["reference"] == "two.mp4")
    assert best["is_copy"]
    assert best["place"] == 1
    assert best["segments"]


def test_every_picture_of_the_page_is_there(report: Path) -> None:
    page = (report / "report.md").read_text()
    names = [part.split(")")[0] for part in page.split("](")[1:]]
    assert "precision_recall.png" in names
    for name in names:
        with Image.open(report / name) as picture:
            assert min(picture.size) > 100


def test_a_folder_that_is_no_suite_is_one_line(tmp_path: Path) -> None:
    result = _run("--set", str(tmp_path), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "truth.json" in result.output
    assert "Traceback" not in result.output


def test_pictures_of_a_benchmark_are_asked_about(tmp_path: Path) -> None:
    """DISC21: one picture is a copy, the other is not; and no times are known."""
    folder, rng = tmp_path / "disc21", np.random.default_rng(0)
    for part, names in (("references", ("R1", "R2")), ("queries", ("Q1", "Q2"))):
        (folder / part).mkdir(parents=True)
        for name in names:
            noise = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8))
            noise.resize((160, 120), Image.Resampling.BICUBIC).save(folder / part / f"{name}.jpg")
    shutil.copyfile(folder / "references" / "R2.jpg", folder / "queries" / "Q2.jpg")
    (folder / "truth.csv").write_text("Q1,\nQ2,R2\n")
    result = _run("--benchmark", "disc21", str(folder), "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "out" / "summary.json").read_text())["figures"]
    assert figures["micro_ap"]["value"] == 1
    assert figures["segment_ap"]["value"] is None


def test_one_thing_is_measured(suite: Path, tmp_path: Path) -> None:
    for asked in ((), ("--set", str(suite), "--benchmark", "vcsl", str(suite))):
        result = _run(*asked, "--out", str(tmp_path / "out"))
        assert result.exit_code == 2
        assert "either" in result.output


def test_a_library_is_measured_in_pieces(suite: Path, tmp_path: Path) -> None:
    """Time runs out at once; then the same command continues to the end."""
    rows = [
        {"id": name.removesuffix(".mp4"), "file": name, "split": "test", "kind": "scene"}
        for name in REFERENCES
    ]
    folder = suite / "references"
    (folder / "manifest.json").write_text(json.dumps(rows))
    with tarfile.open(tmp_path / "pictures.tar", "w") as archive:
        picture = tmp_path / "picture.jpg"
        Image.fromarray(np.full((60, 80, 3), 120, np.uint8)).save(picture)
        archive.add(picture)
    out = tmp_path / "out"
    asked = [
        *("--library", str(folder), "--set", str(suite), "--out", str(out), "--sizes", "1"),
        *("--crowd", str(tmp_path / "pictures.tar"), "--crowd-sizes", "5"),
    ]
    assert _run(*asked, "--minutes", "0").exit_code == 3
    result = _run(*asked)
    assert result.exit_code == 0, result.output
    tree = json.loads((out / "scale.json").read_text())
    assert [row["size"] for row in tree["sizes"]] == [1, 2, 5, 2]
    # Of the four copies one file is broken and one absent.
    assert [row["found"]["value"] for row in tree["sizes"]][-1] == 0.5
    assert tree["strangers"][0]["count"] == 2
    assert tree["called"] == []
