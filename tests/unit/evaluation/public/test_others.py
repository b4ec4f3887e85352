"""Public benchmarks in their authors' layouts are suites."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dubl.errors import InvalidRequest
from dubl.evaluation.public import BENCHMARKS, read_benchmark
from dubl.evaluation.suite import SuiteTruth, find_video
from dubl.footage.video_file import probe, read_frames


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def copies(truth: SuiteTruth, query: str) -> set[str]:
    return {match.reference for match in truth.queries[query].matches}


@pytest.fixture
def vcsl(tmp_path: Path) -> Path:
    folder = tmp_path / "vcsl"
    touch(folder, "videos/aa.mp4", "videos/bb.mp4", "videos/cc.mp4")
    (folder / "pair_file_test.csv").write_text(
        "query_id,reference_id\naa,bb\naa,cc\nbb,cc\naa,gone\n"
    )
    labels = {"aa-bb": [[1, 10, 4.5, 13.5], [6, 0, 9, 3]], "aa-gone": [[0, 0, 1, 1]]}
    (folder / "label_file_uuid_total.json").write_text(json.dumps(labels))
    return folder


def test_vcsl_gives_boxes_by_pair(vcsl: Path, tmp_path: Path) -> None:
    truth = read_benchmark("vcsl", vcsl, tmp_path / "suite")
    assert truth.references == ("bb", "cc")
    assert [(one.reference, one.q, one.r) for one in truth.queries["aa"].matches] == [
        ("bb", (1, 4.5), (10, 13.5)),
        ("bb", (6, 9), (0, 3)),
    ]
    assert truth.queries["bb"].attack == "stranger"
    assert truth.queries["bb"].left_out == ("bb",), "a query is no copy of itself"
    assert find_video(tmp_path / "suite" / "queries", "aa").read_text() == "videos/aa.mp4"


@pytest.fixture
def fivr(tmp_path: Path) -> Path:
    folder = tmp_path / "fivr"
    touch(folder, *(f"videos/{name}.mp4" for name in ("q", "nd", "ds", "cs", "is", "other")))
    labels = {"ND": ["nd", "gone"], "DS": ["ds"], "CS": ["cs"], "IS": ["is"]}
    touch(folder, "dataset/annotation.json")
    (folder / "dataset" / "annotation.json").write_text(json.dumps({"q": labels, "missing": {}}))
    return folder


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("dsvr", {"nd", "ds"}),
        ("csvr", {"nd", "ds", "cs"}),
        ("isvr", {"nd", "ds", "cs", "is"}),
    ],
)
def test_fivr_counts_the_labels_of_a_task(
    fivr: Path, tmp_path: Path, task: str, expected: set[str]
) -> None:
    truth = read_benchmark(f"fivr-200k-{task}", fivr, tmp_path / "suite")
    assert set(truth.queries) == {"q"}
    assert copies(truth, "q") == expected
    assert not any(match.timed for match in truth.queries["q"].matches)
    assert len(truth.references) == 6
    assert truth.queries["q"].left_out == ("q",)


@pytest.fixture
def disc21(tmp_path: Path) -> Path:
    folder = tmp_path / "disc21"
    for level, name in enumerate(
        ("queries/Q00000", "queries/Q00001", "queries/Q00002", "references/R000000")
    ):
        path = folder / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((41, 67, 3), 60 * level, np.uint8)).save(path)
    (folder / "dev_ground_truth.csv").write_text("query_id,reference_id\nQ00000,R000000\nQ00001,\n")
    return folder


def test_disc21_makes_a_second_of_video_of_each_picture(disc21: Path, tmp_path: Path) -> None:
    truth = read_benchmark("disc21", disc21, tmp_path / "suite")
    assert copies(truth, "Q00000") == {"R000000"}
    assert truth.queries["Q00001"].attack == "stranger"
    assert "Q00002" not in truth.queries, "the list of pairs does not name it"
    film = find_video(tmp_path / "suite" / "references", "R000000")
    assert probe(film).duration_s == pytest.approx(1.0, abs=0.05)
    (first, *_) = read_frames(film)
    assert abs(float(first.image.mean()) - 180) < 4


def test_disc21_is_read_without_a_header(disc21: Path, tmp_path: Path) -> None:
    (disc21 / "dev_ground_truth.csv").write_text("Q00002,R000000\n")
    truth = read_benchmark("disc21", disc21, tmp_path / "suite")
    assert set(truth.queries) == {"Q00002"}


def without_file(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def broken_file(name: str) -> Callable[[Path], None]:
    def broken(folder: Path) -> None:
        (folder / name).write_text("[1, 2")

    return broken


@pytest.mark.parametrize(
    ("layout", "name", "change"),
    [
        ("vcsl", "vcsl", without_file("pair_file_test.csv")),
        ("vcsl", "vcsl", without_file("label_file_uuid_total.json")),
        ("vcsl", "vcsl", broken_file("label_file_uuid_total.json")),
        ("vcsl", "vcsl", broken_file("pair_file_test.csv")),
        ("fivr", "fivr-200k-dsvr", without_file("dataset/annotation.json")),
        ("fivr", "fivr-200k-dsvr", broken_file("dataset/annotation.json")),
        ("disc21", "disc21", without_file("dev_ground_truth.csv")),
        ("disc21", "disc21", broken_file("references/R000000.jpg")),
    ],
)
def test_another_layout_is_refused(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    layout: str,
    name: str,
    change: Callable[[Path], None],
) -> None:
    folder: Path = request.getfixturevalue(layout)
    change(folder)
    with pytest.raises(InvalidRequest):
        read_benchmark(name, folder, tmp_path / "suite")


def test_an_unknown_benchmark_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=", ".join(BENCHMARKS)):
        read_benchmark("other", tmp_path, tmp_path / "suite")
