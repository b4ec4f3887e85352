"""VSC2022 in its authors' layout is a suite, and what is found is told in theirs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from dubl.errors import InvalidRequest
from dubl.evaluation.metrics.segments import ScoredSegment
from dubl.evaluation.public import read_vsc2022, write_matches
from dubl.evaluation.suite import find_video

TRUE = """query_id,ref_id,query_start,query_end,ref_start,ref_end
Q100001,R100002,0.0,4.5,10.0,14.5
Q100001,R100001,5.0,9.0,0.0,4.0
"""


@pytest.fixture
def phase(tmp_path: Path) -> Path:
    folder = tmp_path / "train"
    for name in ("query/Q100001", "query/Q100002", "reference/R100001", "reference/R100002"):
        path = folder / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (folder / "train_matching_ground_truth.csv").write_text(TRUE)
    (folder / "train_query_metadata.csv").write_text("video_id,duration_sec\nQ100001,9\n")
    return folder


def test_a_phase_is_read_as_a_suite(phase: Path, tmp_path: Path) -> None:
    suite = tmp_path / "suite"
    truth = read_vsc2022(phase, suite)
    assert truth.references == ("R100001", "R100002")
    copy, stranger = truth.queries["Q100001"], truth.queries["Q100002"]
    assert [(one.reference, one.q, one.r) for one in copy.matches] == [
        ("R100002", (0.0, 4.5), (10.0, 14.5)),
        ("R100001", (5.0, 9.0), (0.0, 4.0)),
    ]
    assert (stranger.attack, stranger.matches) == ("stranger", ())
    assert find_video(suite / "queries", "Q100002").read_text() == "query/Q100002"


def test_what_was_found_is_written_as_the_challenge_takes_it(tmp_path: Path) -> None:
    found = ScoredSegment(
        query_id="Q100001", reference_id="R100002", axes=((0.0, 4.5), (10.0, 14.5)), score=7.5
    )
    write_matches(tmp_path / "matches.csv", [found])
    with (tmp_path / "matches.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row == {
        "query_id": "Q100001",
        "ref_id": "R100002",
        "query_start": "0.0",
        "query_end": "4.5",
        "ref_start": "10.0",
        "ref_end": "14.5",
        "score": "7.5",
    }


@pytest.mark.parametrize("number", [0, 2])
def test_a_phase_without_one_truth_is_refused(phase: Path, tmp_path: Path, number: int) -> None:
    (phase / "train_matching_ground_truth.csv").unlink()
    for one in range(number):
        (phase / f"{one}.csv").write_text(TRUE)
    with pytest.raises(InvalidRequest, match=f"holds {number} files"):
        read_vsc2022(phase, tmp_path / "suite")
