"""Edits: each runs, keeps its promises of time and size, and tells which seconds it shows."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubl.errors import InvalidRequest
from dubl.evaluation.attack_suite import SuiteOptions
from dubl.evaluation.suite import SuiteTruth, TrueMatch, TrueQuery
from dubl.evaluation.suite_questions import suite_questions
from dubl.footage.clips import Clip, cut, joined, open_clip, resampled, write_clip
from dubl.footage.edits.edit import Draw, EditedClip, Span, composed
from dubl.footage.edits.registry import (
    PICTURE_EDITS,
    REGISTRY,
    UNSEEN,
    applied_in_turn,
    drawn_chain,
    find_edit,
)
from dubl.footage.scenes import generate_scene_video
from dubl.footage.video_file import Size, probe, read_frames
from dubl.settings import Settings
from dubl.training import clips as training_clips
from dubl.training import comparator_trainer, validation, views
from tests.support.numbered_clip import read_frame_number, write_numbered_clip

PAGE = Path(__file__).resolve().parents[3] / "docs/understand/edits.md"
RATE = 10
SIZE = (96, 64)
FOREIGN = 1000  # number of the first frame of the donor
NOBODY: Any = None  # a step that must not be asked
EVERY = [*REGISTRY, *UNSEEN]
KEEPING = ["recode", "scale", "aspect", "color", "gray", "dark", "contrast", "blur", "noise"]


def _numbered(folder: Path, *, first_number: int, frames: int, size: Size = SIZE) -> Clip:
    path = folder / f"numbers_{first_number}.mp4"
    write_numbered_clip(path, frames=frames, frame_rate=RATE, size=size, first_number=first_number)
    return open_clip(path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """12 s of numbers from 0."""
    return _numbered(tmp_path_factory.mktemp("own"), first_number=0, frames=120)


@pytest.fixture(scope="module")
def donor(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """9 s of numbers from 1000."""
    return _numbered(tmp_path_factory.mktemp("donor"), first_number=FOREIGN, frames=90)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    path = tmp_path_factory.mktemp("scene") / "scene.mp4"
    generate_scene_video(path, seed=3, duration_s=4, size=SIZE, frame_rate=RATE)
    return open_clip(path)


def _edited(
    name: str, clip: Clip, donor: Clip, *, strength: float = 0.5, seed: int = 0
) -> EditedClip:
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return find_edit(name).apply(clip, Draw(strength=strength, rng=rng, donor=donor))


def _span_at(spans: tuple[Span, ...], time_s: float) -> Span | None:
    inside = (span for span in spans if span.query_start_s <= time_s < span.query_end_s)
    return next(inside, None)


def _assert_truth(path: Path, spans: tuple[Span, ...], *, slack: int = 1) -> None:
    """Every frame of a span carries the number that the truth says; the others are foreign."""
    half_s = 0.5 / RATE
    for frame in read_frames(path):
        number = read_frame_number(frame.image)
        span = _span_at(spans, frame.time_s + half_s / 4)
        if span is None:
            assert number >= FOREIGN
        else:
            middle_s = min(frame.time_s + half_s, span.query_end_s)
            assert abs(number - (span.reference_at(middle_s) * RATE - 0.5)) <= slack + 1e-6


@pytest.mark.parametrize("name", EVERY)
def test_every_edit_writes_a_readable_file_of_the_promised_length(
    name: str, scene: Clip, donor: Clip, tmp_path: Path
) -> None:
    edited = _edited(name, scene, donor)
    path = tmp_path / "query.mkv"
    write_clip(path, edited.clip, encoding=edited.encoding)
    facts = probe(path)
    assert facts.duration_s == pytest.approx(edited.clip.duration_s, abs=0.15)
    assert facts.size == edited.clip.size
    assert edited.spans
    for span in edited.spans:
        assert 0 <= span.query_start_s < span.query_end_s <= edited.clip.duration_s + 1e-6
        assert 0 <= span.reference_start_s < span.reference_end_s <= scene.duration_s + 1e-6


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_one_seed_gives_the_same_pictures_however_they_are_read(
    name: str, strength: float, scene: Clip, donor: Clip
) -> None:
    one = _edited(name, scene, donor, strength=strength).clip
    same = _edited(name, scene, donor, strength=strength).clip
    pictures = list(one.pictures())
    assert len(pictures) == one.frames
    (alone,) = same.read(one.frames // 2, one.frames // 2 + 1)
    np.testing.assert_array_equal(alone, pictures[one.frames // 2])
    assert alone.shape == (one.size[1], one.size[0], 3)


@pytest.mark.parametrize(
    "name", sorted(set(EVERY) - {"speed", "frame_rate", "recode", "flashes", "interleaved"})
)
def test_every_edit_changes_the_pictures(name: str, scene: Clip, donor: Clip) -> None:
    edited = _edited(name, scene, donor, strength=0.8).clip
    if edited.size != scene.size or edited.frames != scene.frames:
        return
    place = scene.frames // 4
    (before,), (after,) = scene.read(place, place + 1), edited.read(place, place + 1)
    assert np.abs(before.astype(float) - after.astype(float)).mean() > 1


@pytest.mark.parametrize("name", KEEPING)
def test_edits_of_light_and_size_keep_every_frame_at_its_time(
    name: str, clip: Clip, donor: Clip, tmp_path: Path
) -> None:
    edited = _edited(name, cut(clip, 20, 40), donor)
    path = tmp_path / "query.mkv"
    write_clip(path, edited.clip, encoding=edited.encoding)
    assert [read_frame_number(frame.image) for frame in read_frames(path)] == list(range(20, 40))


@pytest.mark.parametrize("name", ["trim", "reverse", "splice", "multi_splice", "jump_cuts"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_truth_points_at_the_shown_frames(
    name: str, seed: int, clip: Clip, donor: Clip, tmp_path: Path
) -> None:
    edited = _edited(name, clip, donor, seed=seed)
    path = tmp_path / "query.mp4"
    write_clip(path, edited.clip)
    _assert_truth(path, edited.spans, slack=0)


@pytest.mark.parametrize("name", ["speed", "frame_rate"])
@pytest.mark.parametrize("strength", [0.0, 0.6, 1.0])
def test_truth_of_a_changed_pace_is_right_to_a_frame(
    name: str, strength: float, clip: Clip, donor: Clip, tmp_path: Path
) -> None:
    edited = _edited(name, clip, donor, strength=strength)
    path = tmp_path / "query.mp4"
    write_clip(path, edited.clip)
    _assert_truth(path, edited.spans, slack=1)


def test_truth_holds_through_a_chain_of_time_edits(clip: Clip, donor: Clip, tmp_path: Path) -> None:
    steps = [find_edit(name) for name in ("trim", "reverse", "speed", "splice")]
    draw = Draw(strength=0.4, rng=np.random.default_rng(5), donor=donor)
    edited = applied_in_turn(steps, clip, draw)
    path = tmp_path / "query.mp4"
    write_clip(path, edited.clip)
    assert edited.steps == ("trim", "reverse", "speed", "splice")
    assert [span.reversed for span in edited.spans] == [True]
    _assert_truth(path, edited.spans, slack=1)


def test_splice_between_clips_of_other_size_and_rate_keeps_the_truth(
    clip: Clip, tmp_path: Path
) -> None:
    host = _numbered(tmp_path, first_number=FOREIGN, frames=60, size=(64, 96))
    faster = resampled(host, 2 * RATE)
    edited = _edited("splice", clip, faster)
    (span,) = edited.spans
    assert (edited.clip.size, edited.clip.frame_rate) == (host.size, 2 * RATE)
    first = round(span.query_start_s * 2 * RATE)
    (picture,) = edited.clip.read(first, first + 1)
    inner = picture[27:69]  # 96x64 fitted into 64 wide: 42 or 43 rows
    assert read_frame_number(inner) == pytest.approx(span.reference_start_s * RATE, abs=1)


def test_a_reverse_of_a_splice_swaps_the_order_of_its_pieces() -> None:
    spliced = (
        Span(query_start_s=2, query_end_s=4, reference_start_s=10, reference_end_s=12),
        Span(query_start_s=5, query_end_s=6, reference_start_s=0, reference_end_s=1),
    )
    backwards = Span(
        query_start_s=0, query_end_s=8, reference_start_s=0, reference_end_s=8, reversed=True
    )
    first, second = composed([backwards], spliced)
    assert (first.query_start_s, first.query_end_s) == (2, 3)
    assert (first.reference_start_s, first.reference_end_s) == (0, 1)
    assert (second.query_start_s, second.query_end_s) == (4, 6)
    assert first.reversed
    assert second.reference_at(4.5) == pytest.approx(11.5)


def test_what_a_trim_removes_leaves_the_truth() -> None:
    spliced = (Span(query_start_s=2, query_end_s=4, reference_start_s=10, reference_end_s=12),)
    trim = Span(query_start_s=0, query_end_s=2, reference_start_s=3, reference_end_s=5)
    (left,) = composed([trim], spliced)
    assert (left.query_start_s, left.query_end_s) == (0, 1)
    assert (left.reference_start_s, left.reference_end_s) == (11, 12)
    assert composed([trim], (spliced[0],) * 0) == ()


def test_a_mirror_exchanges_left_and_right(scene: Clip, donor: Clip) -> None:
    (before,), (after,) = scene.read(5, 6), _edited("mirror", scene, donor).clip.read(5, 6)
    np.testing.assert_array_equal(after, before[:, ::-1])


@pytest.mark.parametrize(("strength", "part"), [(0.0, 0.9), (1.0, 0.4)])
def test_a_crop_keeps_the_part_that_its_strength_says(
    strength: float, part: float, donor: Clip, tmp_path: Path
) -> None:
    large = _numbered(tmp_path, first_number=0, frames=2, size=(320, 200))
    width, height = _edited("crop", large, donor, strength=strength).clip.size
    assert width * height / (320 * 200) == pytest.approx(part, abs=0.02)


def test_vertical_edits_make_tall_pictures_of_wide_ones(scene: Clip, donor: Clip) -> None:
    for name in ("vertical_cutout", "blurred_bars"):
        width, height = _edited(name, scene, donor).clip.size
        assert width / height == pytest.approx(9 / 16, abs=0.04)


def test_insets_show_both_videos(clip: Clip, donor: Clip) -> None:
    for name, host in (("pip_inset", donor), ("pip_over", clip)):
        edited = _edited(name, clip, donor).clip
        (shown,), (behind,) = edited.read(3, 4), host.read(3, 4)
        equal = (shown == behind).all(axis=2)
        assert 0.4 < equal.mean() < 1.0
        assert edited.frames == clip.frames


def test_a_short_clip_is_spliced_whole(clip: Clip, donor: Clip) -> None:
    short = cut(clip, 0, 15)
    for name in ("splice", "multi_splice", "trim"):
        shown_s = sum(s.query_end_s - s.query_start_s for s in _edited(name, short, donor).spans)
        assert shown_s == pytest.approx(1.5, abs=0.11)


def test_variable_frame_times_are_held_on_the_grid(tmp_path: Path) -> None:
    path = tmp_path / "vfr.mkv"
    write_numbered_clip(path, frames=4, frame_rate=RATE, times_s=[0.0, 0.1, 0.6, 0.7])
    numbers = [read_frame_number(picture) for picture in open_clip(path).pictures()]
    assert numbers == [0, 1, 1, 1, 1, 1, 2, 3]


def test_clips_of_two_sizes_do_not_join(clip: Clip, donor: Clip) -> None:
    with pytest.raises(ValueError, match="one size"):
        joined([clip, _edited("scale", donor, donor).clip])


def test_an_unknown_edit_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown edit 'cropp'"):
        find_edit("cropp")


def test_the_page_of_edits_is_that_of_the_registry() -> None:
    rows = [
        f"| `{edit.name}` | {edit.family} | {edit.summary} |"
        for edit in (*REGISTRY.values(), *UNSEEN.values())
    ]
    page = PAGE.read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("| `")] == rows


def test_small_pictures_are_not_given_to_an_encoder_that_cannot_take_them() -> None:
    small = Clip(
        size=(48, 48),
        frame_rate=4.0,
        frames=2,
        read=lambda start, stop: iter([np.zeros((48, 48, 3), np.uint8)] * (stop - start)),
    )
    codecs = {
        find_edit("recode")
        .apply(small, Draw(strength=1.0, rng=np.random.default_rng(seed)))
        .encoding.codec
        for seed in range(40)
    }
    assert codecs == {"h264", "vp9", "mpeg4"}


def test_unseen_edits_are_drawn_nowhere() -> None:
    """No default, no chain and no training pool holds them."""
    assert len(UNSEEN) == 10
    assert not UNSEEN.keys() & (REGISTRY.keys() | PICTURE_EDITS.keys() | set(SuiteOptions().edits))
    chains = [drawn_chain(7, np.random.default_rng(seed)) for seed in range(200)]
    assert not UNSEEN.keys() & {edit.name for chain in chains for edit in chain}
    # These modules train, validate and fit; none names the edits that they must not see.
    for module in (views, validation, training_clips, comparator_trainer):
        assert "unseen" not in Path(module.__file__ or "").read_text(encoding="utf-8").lower()


def test_nothing_is_fitted_to_unseen_edits(tmp_path: Path) -> None:
    facts = TrueQuery(attack="negative", matches=(TrueMatch(reference="a", q=(0, 1), r=(0, 1)),))
    SuiteTruth(references=("a",), queries={"copy": facts}).write(tmp_path)
    with pytest.raises(InvalidRequest, match="measuring alone: negative"):
        suite_questions(
            tmp_path, Settings(), decoder=NOBODY, embedder=NOBODY, sources={}, per_query=1
        )


def test_every_other_or_fourth_picture_is_foreign_when_interleaved(clip: Clip, donor: Clip) -> None:
    for strength, turn in ((0.0, 4), (1.0, 2)):
        numbers = [
            read_frame_number(picture)
            for picture in _edited("interleaved", clip, donor, strength=strength).clip.read(0, 40)
        ]
        assert [number >= FOREIGN for number in numbers] == [
            place % turn == turn - 1 for place in range(40)
        ]
