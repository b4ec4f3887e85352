"""A library that grows: who is asked about what, which distractors join, what is counted."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dubl.errors import InvalidRequest
from dubl.evaluation.metrics.detection import clopper_pearson
from dubl.evaluation.scale.asking import FoundMatch, ScaleAnswer, ScaleQuery
from dubl.evaluation.scale.clips import LibraryClip, in_steps, left_out, read_clips
from dubl.evaluation.scale.crowd import crowd
from dubl.evaluation.scale.figures import scale_findings, write_scale
from dubl.evaluation.scale.run import planted_copies, strangers
from dubl.evaluation.suite import SuiteTruth, TrueMatch, TrueQuery
from dubl.settings import PolicySettings
from dubl.types import FeatureSpec, FrameClip, VideoFeatures

SPEC = FeatureSpec(
    model_id="none",
    weights_sha256="",
    frame_size=16,
    resize="squash",
    rate_hz=2.0,
    descriptor_dims=4,
    regions=2,
    region_dims=3,
)


def clip(name: str, *, split: str = "test", group: str = "", kind: str = "robot") -> LibraryClip:
    return LibraryClip(id=name, path=Path(f"{name}.mp4"), split=split, kind=kind, group=group)


CLIPS = (clip("a", group="room"), clip("b", group="room"), clip("c"), clip("t", split="train"))


def test_a_manifest_is_read(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "file": "a.mp4", "split": "test", "kind": "game", "scene_group": None, "x": 1},
        {"id": "b", "file": "b.mkv", "split": "train", "scene_group": "room"},
    ]
    (tmp_path / "manifest.json").write_text(json.dumps(rows))
    first, second = read_clips([tmp_path])
    assert (first.path, first.kind, first.group) == (tmp_path / "a.mp4", "game", "")
    assert (second.group, second.is_asked, first.is_asked) == ("room", False, True)
    with pytest.raises(InvalidRequest, match="one id"):
        read_clips([tmp_path, tmp_path])


@pytest.mark.parametrize("text", ["{", '[{"id": "a"}]', "{}"])
def test_another_file_is_no_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InvalidRequest, match="no manifest"):
        read_clips([tmp_path])


def test_a_clip_is_asked_about_without_its_scene() -> None:
    assert {one.name: one.left_out for one in strangers(CLIPS)} == {
        "a": ("a", "b"),
        "b": ("a", "b"),
        "c": ("c",),
    }
    assert left_out(CLIPS)["t"] == ("t",)


def test_the_library_grows_by_steps_that_begin_with_the_copied() -> None:
    clips = [clip(str(number)) for number in range(20)]
    steps = in_steps(clips, (2, 10, 500), first=["7", "3"])
    assert {name for name, size in steps.items() if size == 2} == {"7", "3"}
    assert sorted(steps.values()) == [2] * 2 + [10] * 8 + [20] * 10
    assert steps == in_steps(clips, (2, 10, 500), first=["7", "3"])


def test_copies_of_clips_are_planted(tmp_path: Path) -> None:
    match = TrueMatch(reference="a.mp4", q=(0, 1), r=(2, 3))
    other = match.model_copy(update={"reference": "negative_1.mp4"})
    queries = {
        "copy.mp4": TrueQuery(attack="crop", matches=(match,)),
        "other.mp4": TrueQuery(attack="crop", matches=(other,)),
        "stranger_000_c.mp4": TrueQuery(attack="stranger"),
    }
    SuiteTruth(references=("a.mp4",), queries=queries).write(tmp_path)
    for name in queries:
        (tmp_path / "queries").mkdir(exist_ok=True)
        (tmp_path / "queries" / name).touch()
    (planted,) = planted_copies(tmp_path, CLIPS)
    assert (planted.path.name, planted.kind) == ("copy.mp4", "crop")
    assert planted.truth[0].reference == "a"
    assert planted.left_out == ("c",)  # copies are spliced with the suite's strangers


def test_a_clip_with_the_end_of_a_strangers_name_is_no_stranger(tmp_path: Path) -> None:
    match = TrueMatch(reference="c.mp4", q=(0, 1), r=(2, 3))
    queries = {
        "copy.mp4": TrueQuery(attack="crop", matches=(match,)),
        "stranger_000_old_c.mp4": TrueQuery(attack="stranger"),
    }
    SuiteTruth(references=("c.mp4",), queries=queries).write(tmp_path)
    (planted,) = planted_copies(tmp_path, (clip("c"), clip("old_c")))
    assert planted.left_out == ("old_c",)


class Colors:
    """Embeds the mean color of each picture."""

    spec = SPEC

    def embed(self, clips: list[FrameClip]) -> list[VideoFeatures]:
        return [self._of(one) for one in clips]

    def _of(self, clip: FrameClip) -> VideoFeatures:
        mean = clip.frames.reshape(len(clip.frames), -1, 3).mean(axis=1) / 255 + 0.1
        full = np.concatenate([mean, np.ones((len(mean), 1))], axis=1)
        return VideoFeatures(
            descriptors=(full / np.linalg.norm(full, axis=1, keepdims=True)).astype(np.float16),
            region_features=np.repeat(mean[:, None], 2, axis=1).astype(np.float16),
            timestamps_s=clip.timestamps_s,
            views=clip.views,
            duration_s=1.0,
            spec=SPEC,
        )


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    with tarfile.open(tmp_path / "pictures.tar", "w") as archive:
        for level in (40, 200):
            path = tmp_path / f"{level}.jpg"
            Image.fromarray(np.full((30, 40, 3), level, np.uint8)).save(path)
            archive.add(path, arcname=path.name)
    return tmp_path / "pictures.tar"


def motion() -> VideoFeatures:
    """Ten instants of two views; only the first view counts."""
    rng = np.random.default_rng(0)
    descriptors = rng.normal(size=(20, 4))
    return VideoFeatures(
        descriptors=(descriptors / np.linalg.norm(descriptors, axis=1)[:, None]).astype(np.float16),
        region_features=rng.normal(size=(20, 2, 3)).astype(np.float16),
        timestamps_s=np.repeat(np.arange(10) / 2, 2),
        views=np.tile(np.array([0, 1], np.uint8), 10),
        duration_s=5.0,
        spec=SPEC,
    )


def test_a_crowd_has_the_looks_of_pictures_and_the_motion_of_clips(photographs: Path) -> None:
    people = list(crowd(photographs, [motion()], Colors(), count=5))
    assert len(people) == 5
    still = replace(motion(), descriptors=np.ones((20, 4), np.float16) / 2)
    for moving, calm in zip(people, crowd(photographs, [still], Colors(), count=5), strict=True):
        assert set(moving.views) == {0}
        assert len(moving.timestamps_s) in {8, 9}
        np.testing.assert_allclose(np.linalg.norm(moving.descriptors, axis=1), 1, atol=2e-3)
        assert np.ptp(moving.descriptors.astype(float), axis=0).max() > 0.1
        assert np.ptp(calm.descriptors.astype(float), axis=0).max() < 0.01
    again = crowd(photographs, [motion()], Colors(), count=5)
    np.testing.assert_array_equal(next(again).descriptors, people[0].descriptors)
    with pytest.raises(InvalidRequest, match="no archive"):
        list(crowd(photographs.parent / "40.jpg", [motion()], Colors(), count=1))


def found(reference: str, probability: float) -> FoundMatch:
    return FoundMatch(reference=reference, probability=probability, similarity=0.5)


def test_figures_tell_pixels_train_clips_and_sizes_apart(tmp_path: Path) -> None:
    truth = (TrueMatch(reference="a", q=(0, 1), r=(0, 1)),)
    queries = [
        ScaleQuery(name="copy", path=Path("x"), kind="crop", truth=truth),
        *strangers(CLIPS),
    ]
    answers = [
        ScaleAnswer(
            query="copy",
            checked=(found("a", 0.95),),
            by_features={2: (found("a", 0.7),), 4: (found("t", 0.92), found("a", 0.7))},
        ),
        ScaleAnswer(query="a", checked=(found("t", 0.93), found("c", 0.6)), by_features={}),
        *(ScaleAnswer(query=name, checked=(), by_features={}) for name in ("b", "c")),
    ]
    policy = PolicySettings(duplicate_probability=0.9, review_probability=0.5)
    findings = scale_findings(CLIPS, queries, answers, policy, model_id="m")
    everyone, robots, others = findings.strangers
    assert (everyone.kind, robots.kind, everyone.count) == ("all", "robot", 3)
    assert everyone.duplicate == clopper_pearson(1, 3)
    assert (others.library, others.duplicate.value) == ("without train", 0)
    assert others.review == clopper_pearson(1, 3)
    small, large, checked = findings.sizes
    assert (small.micro_ap, small.strict_f1, small.best_f1) == (1, 0, 1)
    assert (large.micro_ap, large.strict_f1) == (0.5, 0), "a wrong top reference is no duplicate"
    assert (checked.pixels, checked.found.value) == (True, 1)
    assert findings.called == [("a", "t", 0.93)]
    write_scale(tmp_path, findings)
    assert "a was called a copy of t" in (tmp_path / "scale.md").read_text()
    assert json.loads((tmp_path / "scale.json").read_text())["sizes"][0]["size"] == 2


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 576, 0.0, 0.006384), (3, 20, 0.032071, 0.378927), (20, 20, 0.831567, 1.0)],
)
def test_exact_intervals_are_those_of_the_tables(
    successes: int, trials: int, low: float, high: float
) -> None:
    estimate = clopper_pearson(successes, trials)
    assert estimate.low == pytest.approx(low, abs=1e-5)
    assert estimate.high == pytest.approx(high, abs=1e-5)
    assert clopper_pearson(0, 0) == (0, 0, 1)
