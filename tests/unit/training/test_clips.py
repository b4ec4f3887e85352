"""Clips from the three sources, their edits, and the pack of their features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dubl.errors import ConfigurationError
from dubl.footage import clips
from dubl.footage.edits.edit import Draw, EditedClip, Family, edit, repainted
from dubl.footage.edits.registry import PICTURE_EDITS
from dubl.footage.frames import Frames, edited_frames
from dubl.footage.textures import gradient, procedural_picture
from dubl.training.clips import ORIGINAL, Clip, FeaturePack, build_feature_pack, list_clips
from dubl.training.config import ClipSettings
from tests.unit.training.packs import short_scene, write_archive

SIZE = 72


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr("dubl.training.clips.scene_frames", short_scene)


@pytest.fixture
def settings(tmp_path: Path) -> ClipSettings:
    archive = write_archive(tmp_path, count=32)
    return ClipSettings(
        images=archive,
        scenes=2,
        validation_scenes=1,
        picture_clips=4,
        versions=2,
        min_frames=4,
    )


def still(seed: int = 0) -> Frames:
    return np.repeat(procedural_picture(np.random.default_rng(seed), size=SIZE)[None], 3, axis=0)


def test_scenes_and_films_of_pictures_become_clips(settings: ClipSettings) -> None:
    listed = list_clips(settings, size=SIZE, seed=0)
    assert [clip.kind for clip in listed] == ["scene"] * 3 + ["pictures"] * 4
    assert [clip.validation for clip in listed][:3] == [False, False, True]
    for clip in listed:
        frames = clip.read()
        assert frames.shape[1:] == (SIZE, SIZE, 3)
        assert frames.dtype == np.uint8
        np.testing.assert_array_equal(frames, clip.read())


def test_a_film_stays_in_one_folder_of_pictures(settings: ClipSettings) -> None:
    films = [clip for clip in list_clips(settings, size=SIZE, seed=0) if clip.kind == "pictures"]
    assert {film.scene.rpartition("/")[0] for film in films} == {"some/pictures"}
    assert len({film.name for film in films}) == len(films)


def test_no_source_is_an_error() -> None:
    nothing = ClipSettings(scenes=0, validation_scenes=0)
    with pytest.raises(ConfigurationError, match="no clip"):
        list_clips(nothing, size=SIZE, seed=0)


def test_the_original_is_hardly_changed() -> None:
    picture = np.asarray(gradient((SIZE, SIZE), np.random.default_rng(0)))
    frames = np.stack([picture] * 3)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        changed = edited_frames(frames, frames, ORIGINAL, rng, strength=0.0)
        assert 0 < np.abs(changed.astype(int) - frames).mean() < 8


def test_a_new_edit_also_edits_clips_that_are_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @edit(Family.PHOTOMETRIC, "light and dark exchanged")
    def negative(clip: clips.Clip, _draw: Draw) -> EditedClip:
        return repainted(clip, clip.size, lambda image, _: 255 - image)

    monkeypatch.setattr("dubl.training.clips.PICTURE_EDITS", {"negative": negative})
    pack = build_feature_pack(small_clips(), Eye(), ClipSettings(versions=1), tmp_path, seed=0)
    assert {item.edits for item in pack.items} == {("original", "negative")}


class Eye:
    """Describes frames by their mean color; counts what it saw."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, frames: Frames) -> NDArray[np.float16]:
        self.seen += len(frames)
        colors = frames.mean(axis=(1, 2)).astype(np.float16)
        return np.repeat(colors[:, None], 4, axis=1)


def small_clips() -> list[Clip]:
    return [
        Clip(
            name=f"still/{seed}",
            kind="scene",
            scene="stills",
            source="test",
            license="none needed",
            validation=seed > 1,
            read=lambda seed=seed: still(seed),
        )
        for seed in range(4)
    ]


def test_a_pack_holds_all_versions_of_each_clip(tmp_path: Path) -> None:
    settings = ClipSettings(versions=2)
    pack = build_feature_pack(small_clips(), Eye(), settings, tmp_path, seed=0)
    assert [item.edits[0] for item in pack.items] == ["original"] * 4
    for item in pack.items:
        parts = {part for done in item.edits[1:] for part in done.split("+")}
        assert parts <= PICTURE_EDITS.keys()
        assert not item.validation or parts == set(item.edits[1:])
    for number, features in enumerate(pack.features):
        assert features.regions.shape == (3, 3, 4, 3)
        assert number not in features.guests
    assert list(pack.select(validation=True)) == [2, 3]


def test_an_interrupted_pack_goes_on_where_it_stopped(tmp_path: Path) -> None:
    settings, whole, rest = ClipSettings(versions=1), Eye(), Eye()
    first = build_feature_pack(small_clips(), whole, settings, tmp_path, seed=0)
    (tmp_path / "items.json").unlink()
    (tmp_path / "00002.npz").unlink()
    again = build_feature_pack(small_clips(), rest, settings, tmp_path, seed=0)
    assert rest.seen == whole.seen // 4
    for one, other in zip(first.features, again.features, strict=True):
        np.testing.assert_array_equal(one.regions, other.regions)


def test_a_folder_without_a_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no pack"):
        FeaturePack(tmp_path)
