"""The attack suite: a folder of references and queries whose truth can be trusted."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from dubl.errors import InvalidRequest, NotFound
from dubl.evaluation.attack_suite import EDITED_STRANGER, STRANGER, SuiteOptions, write_suite
from dubl.evaluation.suite import SuiteRoles, SuiteTruth, draw_roles, find_videos, load_truth
from dubl.footage.clips import open_clip
from dubl.footage.hard_negatives import negative_pairs, same_camera_later, same_set
from dubl.footage.video_file import probe, read_frames
from pipelines.make_attacks import main
from tests.support.numbered_clip import read_frame_number, write_numbered_clip

RATE = 10
TIME_EDITS = SuiteOptions(edits=("trim", "reverse", "splice", "recode"), per_reference=2, seed=3)


def _write_roles(folder: Path) -> SuiteRoles:
    """Two references, two strangers and three sources of negatives: numbers apart by 1000."""
    folder.mkdir()
    paths = [folder / f"clip{place}.mp4" for place in range(7)]
    for place, path in enumerate(paths):
        frames = 90 if place == 4 else 50
        write_numbered_clip(
            path, frames=frames, frame_rate=RATE, size=(96, 64), first_number=1000 * place
        )
    return SuiteRoles(
        references=tuple(paths[:2]), strangers=tuple(paths[2:4]), negatives=tuple(paths[4:])
    )


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> SuiteRoles:
    return _write_roles(tmp_path_factory.mktemp("videos") / "clips")


@pytest.fixture(scope="module")
def suite(roles: SuiteRoles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suites") / "suite"
    write_suite(folder, roles, options=TIME_EDITS)
    return folder


@pytest.fixture(scope="module")
def truth(suite: Path) -> SuiteTruth:
    return load_truth(suite)


def test_truth_and_folders_name_the_same_files(suite: Path, truth: SuiteTruth) -> None:
    assert sorted(truth.queries) == sorted(path.name for path in (suite / "queries").iterdir())
    assert sorted(truth.references) == sorted(
        path.name for path in (suite / "references").iterdir()
    )


def test_the_edits_come_up_equally(truth: SuiteTruth) -> None:
    copies = sorted(query.attack for query in truth.queries.values() if query.matches)
    assert copies == sorted(TIME_EDITS.edits)


def test_times_lie_within_both_files(suite: Path, truth: SuiteTruth) -> None:
    for name, query in truth.queries.items():
        assert query.duration_s == pytest.approx(
            probe(suite / "queries" / name).duration_s, abs=0.01
        )
        for match in query.matches:
            reference_s = probe(suite / "references" / match.reference).duration_s
            assert 0 <= match.q[0] < match.q[1] <= query.duration_s + 0.001
            assert 0 <= match.r[0] < match.r[1] <= reference_s + 0.001


def test_matched_seconds_show_the_same_frames_in_both_files(suite: Path, truth: SuiteTruth) -> None:
    checked = 0
    for name, query in truth.queries.items():
        for match in query.matches:
            shown = _numbers(suite / "queries" / name, *match.q)
            held = _numbers(suite / "references" / match.reference, *match.r)
            assert shown == (held[::-1] if match.reversed else held)
            checked += 1
    assert checked >= 4


def test_strangers_and_hard_negatives_have_no_matches(truth: SuiteTruth) -> None:
    alone = sorted(query.attack for query in truth.queries.values() if not query.matches)
    assert alone == sorted(
        [STRANGER, EDITED_STRANGER, "slides", "same_camera_later", "shared_intro"]
    )


def test_same_camera_later_shares_no_frame_with_its_reference(suite: Path) -> None:
    (query,) = (suite / "queries").glob("*same_camera_later*")
    (reference,) = (suite / "references").glob("*same_camera_later*")
    assert not set(_numbers(query)) & set(_numbers(reference))


def test_a_shared_intro_is_the_same_title_before_different_videos(suite: Path) -> None:
    (query,) = (suite / "queries").glob("*shared_intro*")
    (reference,) = (suite / "references").glob("*shared_intro*")
    for shown, held in zip(read_frames(query), read_frames(reference), strict=False):
        title = shown.time_s < 3 - 0.5 / RATE
        assert np.allclose(shown.image.astype(int), held.image, atol=24) == title


def test_a_second_camera_on_the_set_shows_other_seconds_in_another_framing(tmp_path: Path) -> None:
    path = tmp_path / "take.mp4"
    write_numbered_clip(path, frames=120, frame_rate=RATE, size=(96, 64))
    later = same_camera_later(open_clip(path))
    assert later is not None
    pair = same_set(later)
    assert pair.query.duration_s == later.query.duration_s
    assert pair.query.size == later.query.size
    one, other = next(iter(pair.query.pictures())), next(iter(later.query.pictures()))
    assert np.abs(one.astype(int) - other).mean() > 8


def test_hard_negatives_never_use_footage_twice(tmp_path: Path) -> None:
    clips = []
    for place in range(9):
        path = tmp_path / f"{place}.mp4"
        frames = 90 if place < 3 else 20 + place
        write_numbered_clip(
            path, frames=frames, frame_rate=RATE, size=(96, 64), first_number=1000 * place
        )
        clips.append(open_clip(path))
    pairs = negative_pairs(clips, np.random.default_rng(0))
    kinds = Counter(pair.kind for pair in pairs)
    assert kinds == {
        "slides": 1,
        "same_camera_later": 2,
        "same_set": 1,
        "shared_intro": 2,
        "black_and_credits": 1,
    }
    seen: Counter[int] = Counter()
    for pair in pairs:
        # The number of a picture that was moved nearer is no longer read.
        query = () if pair.kind == "same_set" else pair.query.pictures()
        for picture in (*pair.reference.pictures(), *query):
            with contextlib.suppress(ValueError):
                seen[read_frame_number(picture)] += 1
    assert len(seen) > 300
    assert max(seen.values()) == 1


def test_one_seed_gives_one_truth_and_another_seed_another(
    roles: SuiteRoles, suite: Path, tmp_path: Path
) -> None:
    again = write_suite(tmp_path / "again", roles, options=TIME_EDITS)
    assert again == load_truth(suite)
    for path in (tmp_path / "again" / "queries").iterdir():
        assert path.read_bytes() == (suite / "queries" / path.name).read_bytes()
    other = SuiteOptions(edits=TIME_EDITS.edits, per_reference=2, seed=4)
    assert write_suite(tmp_path / "other", roles, options=other) != again


def test_a_long_reference_is_copied_in_an_excerpt_at_the_right_place(
    roles: SuiteRoles, tmp_path: Path
) -> None:
    options = SuiteOptions(edits=("gray:0.5",), per_reference=1, longest_s=2.0)
    only = SuiteRoles(references=roles.references[:1])
    truth = write_suite(tmp_path / "suite", only, options=options)
    ((name, query),) = truth.queries.items()
    (match,) = query.matches
    assert query.strength == 0.5
    assert match.q == (0.0, 2.0)
    assert match.r[0] > 0
    assert _numbers(tmp_path / "suite" / "queries" / name)[0] == round(match.r[0] * RATE)


def test_a_broken_video_is_left_out_and_listed(roles: SuiteRoles, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all" * 50)
    options = SuiteOptions(edits=("mirror",), per_reference=1)
    with_broken = SuiteRoles(references=(broken, roles.references[0]))
    truth = write_suite(tmp_path / "suite", with_broken, options=options)
    assert truth.references == (roles.references[0].name,)
    assert [(failure.video, failure.code) for failure in truth.failures] == [
        ("broken.mp4", "not_a_video")
    ]


def test_files_of_one_name_stay_apart(roles: SuiteRoles, tmp_path: Path) -> None:
    twin = tmp_path / roles.references[0].name
    write_numbered_clip(twin, frames=10, frame_rate=RATE, size=(96, 64))
    options = SuiteOptions(edits=("mirror",), per_reference=1)
    truth = write_suite(
        tmp_path / "suite", SuiteRoles(references=(roles.references[0], twin)), options=options
    )
    assert len(set(truth.references)) == 2
    assert {match.reference for query in truth.queries.values() for match in query.matches} == set(
        truth.references
    )


@pytest.mark.parametrize(
    ("edits", "reason"),
    [(("cropp",), "unknown edit 'cropp'"), (("crop:2",), "0..1"), (("splice",), "strangers")],
)
def test_a_suite_that_cannot_be_made_is_refused_at_once(
    roles: SuiteRoles, tmp_path: Path, edits: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        write_suite(
            tmp_path / "suite",
            SuiteRoles(references=roles.references),
            options=SuiteOptions(edits=edits),
        )
    assert not (tmp_path / "suite").exists()


def test_the_command_writes_a_suite_with_named_references(
    roles: SuiteRoles, tmp_path: Path
) -> None:
    listing = tmp_path / "references.txt"
    listing.write_text(f"{roles.references[0].name}\n")
    command = typer.Typer()
    command.command()(main)
    out = tmp_path / "suite"
    folder = str(roles.references[0].parent)
    common = ["--videos", folder, "--references", str(listing), "--out", str(out)]
    made = CliRunner().invoke(command, [*common, "--edits", "crop, pip_over:0.3"])
    assert made.exit_code == 0, made.output
    assert load_truth(out).references == (roles.references[0].name,)
    again = CliRunner().invoke(command, [*common, "--edits", "crop"])
    assert again.exit_code == 2
    assert "not empty" in again.output


def test_a_folder_in_use_is_not_overwritten(roles: SuiteRoles, suite: Path) -> None:
    with pytest.raises(InvalidRequest, match="not empty"):
        write_suite(suite, roles, options=TIME_EDITS)


def test_a_video_plays_one_part_only(roles: SuiteRoles) -> None:
    with pytest.raises(InvalidRequest, match="only one of"):
        SuiteRoles(references=roles.references, strangers=roles.references)


def test_parts_are_dealt_out_by_share(tmp_path: Path) -> None:
    videos = [tmp_path / f"{place}.mp4" for place in range(20)]
    dealt = draw_roles(videos, stranger_share=0.25, negative_share=0.1, seed=1)
    assert (len(dealt.references), len(dealt.strangers), len(dealt.negatives)) == (13, 5, 2)
    assert dealt == draw_roles(videos, stranger_share=0.25, negative_share=0.1, seed=1)
    with pytest.raises(InvalidRequest, match="leave room"):
        draw_roles(videos, stranger_share=0.6, negative_share=0.4, seed=1)


def test_videos_are_found_in_subfolders_by_suffix(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("deep/b.MKV", "a.mp4", "notes.txt"):
        (tmp_path / name).touch()
    assert find_videos(tmp_path) == [tmp_path / "a.mp4", tmp_path / "deep" / "b.MKV"]
    with pytest.raises(NotFound):
        find_videos(tmp_path / "absent")


def test_a_folder_without_truth_is_no_suite(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="not an attack suite"):
        load_truth(tmp_path)
    (tmp_path / "truth.json").write_text('{"queries": []}')
    with pytest.raises(InvalidRequest, match="not the truth"):
        load_truth(tmp_path)


def _numbers(path: Path, start_s: float = 0.0, end_s: float = 1e9) -> list[int]:
    early_s = 0.5 / RATE
    frames = read_frames(path, start_s=max(start_s - early_s, 0), end_s=end_s - early_s)
    return [read_frame_number(frame.image) for frame in frames]
