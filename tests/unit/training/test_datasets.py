"""Packs: what goes in, what stays out, and how batches are drawn from them."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from dubl.errors import ConfigurationError, MediaError
from dubl.training.config import DataSettings, LicenseSettings, TrainingConfig, parse_config
from dubl.training.datasets import (
    Pack,
    build_pack,
    compress,
    credited,
    takes,
)
from dubl.training.sampling import BatchMaker
from dubl.training.views import StrongRanges
from tests.unit.training.packs import HELD_OUT, write_archive

CONFIG = Path(__file__).resolve().parents[3] / "configs/train_descriptor.yaml"
CLEAR = LicenseSettings(clear_only=True, allow=("^CC0", "^MIT"), deny=("cut from",))


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("pack")
    archive = write_archive(folder, count=24, held_out=6)
    sources = DataSettings(
        images=(archive,), procedural=6, size=80, validation_repositories=(HELD_OUT,)
    )
    return build_pack(sources, folder / "pack")


def maker(pack: Pack, *, seed: int = 0) -> BatchMaker:
    return BatchMaker(pack, batch_size=8, seed=seed, ranges=StrongRanges(), scene_size=4)


def write_clip(path: Path, *, shades: list[int], rate: int = 4) -> None:
    """A clip with one frame per shade: a bright square on a dark ground that moves."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width = stream.height = 96
        stream.pix_fmt = "yuv420p"
        for index, shade in enumerate(shades):
            picture = np.zeros((96, 96, 3), np.uint8)
            picture[10 : 60 + index, 10 * (index % 4) : 50 + 10 * (index % 4)] = shade
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def write_manifest(folder: Path, splits: dict[str, str]) -> None:
    clips = [
        {
            "id": name,
            "file": f"{name}.mp4",
            "source_repo": f"some/{name}",
            "licence": "MIT",
            "scene_group": None,
            "split": split,
        }
        for name, split in splits.items()
    ]
    (folder / "manifest.json").write_text(json.dumps(clips))


def test_a_pack_holds_all_sources(pack: Pack) -> None:
    assert pack.pictures.shape == pack.compressed.shape == (30, 80, 80, 3)
    assert pack.overlays.texts.ndim == 3
    kinds = [item.kind for item in pack.items]
    assert kinds.count("image") == 24
    assert kinds.count("procedural") == 6


def test_training_and_validation_share_no_picture(pack: Pack) -> None:
    train, held_out = pack.select(validation=False), pack.select(validation=True)
    assert not set(train) & set(held_out)
    assert len(train) + len(held_out) == 30
    assert {pack.items[index].source for index in held_out} == {HELD_OUT}
    assert HELD_OUT not in {pack.items[index].source for index in train}


def test_the_compressed_side_is_what_an_encoder_left(pack: Pack) -> None:
    change = np.abs(pack.compressed.astype(int) - pack.pictures).mean(axis=(1, 2, 3))
    assert bool((change > 0.5).all())
    assert bool((change < 60).all())
    assert np.corrcoef(pack.compressed.ravel(), pack.pictures.ravel())[0, 1] > 0.8


def test_the_encoder_keeps_the_order_of_pictures() -> None:
    shades = np.repeat(np.array([30, 120, 220, 70], np.uint8), 64 * 64 * 3)
    pictures = shades.reshape(4, 64, 64, 3)
    compressed = compress(pictures, np.random.default_rng(0), showings=2)
    assert np.abs(compressed.astype(int) - pictures).mean() < 6


def test_a_license_filter_leaves_unclear_pictures_out(tmp_path: Path) -> None:
    archive = write_archive(tmp_path, count=8)
    items = build_pack(
        DataSettings(images=(archive,), size=80, licenses=CLEAR), tmp_path / "p"
    ).items
    assert {item.license for item in items} == {"CC0-1.0", "MIT"}
    assert len(items) == 4


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    archive = write_archive(tmp_path, count=4)
    none = DataSettings(
        images=(archive,), licenses=LicenseSettings(clear_only=True, allow=("^public domain",))
    )
    with pytest.raises(ConfigurationError, match="no picture is left"):
        build_pack(none, tmp_path / "pack")


def test_the_shipped_configuration_can_be_limited_to_clear_licenses() -> None:
    text = CONFIG.read_text().replace("clear_only: false", "clear_only: true")
    clear = parse_config(TrainingConfig, text).data.licenses
    kept = (
        "CC0-1.0",
        "MIT (repo)",
        "Apache-2.0",
        "CC-BY-4.0 (repo LICENSE)",
        "BSD-3-Clause (repo)",
    )
    left_out = (
        "ImageNet samples, no licence file (research use only, ImageNet terms)",
        "BSDS500 (Berkeley, research/education use; no licence file in repo)",
        "MIT (repo LICENSE); clips cut from public surveillance videos",
        "CC-BY-4.0 (DROID dataset, per third-party docs; page repo has no licence file)",
        "CC-BY-NC-4.0",
    )
    assert all(clear.keeps(text) for text in kept)
    assert not any(clear.keeps(text) for text in left_out)
    everything = parse_config(TrainingConfig, CONFIG.read_text()).data.licenses
    assert all(everything.keeps(text) for text in left_out)


def test_clear_licenses_leave_enough_real_pictures(shared_data: Path) -> None:
    text = CONFIG.read_text().replace("clear_only: false", "clear_only: true")
    clear = parse_config(TrainingConfig, text).data.licenses
    entries = json.loads((shared_data / "images.json").read_text())
    kept = [entry for entry in entries if clear.keeps(entry["licence"])]
    assert 3000 < len(kept) < len(entries)
    assert not any("ImageNet" in entry["licence"] for entry in kept)


def test_only_clips_of_the_training_split_are_read(tmp_path: Path) -> None:
    write_clip(tmp_path / "one.mp4", shades=[250, 200, 150, 100] * 4)
    write_manifest(tmp_path, {"one": "train", "two": "test", "three": "distractor"})
    items = build_pack(DataSettings(videos=(tmp_path,), size=80), tmp_path / "pack").items
    assert {item.source for item in items} == {"some/one"}
    assert len({item.group for item in items}) == 1


@pytest.mark.parametrize("split", ["test", "distractor"])
def test_pictures_of_other_splits_stay_out(tmp_path: Path, split: str) -> None:
    archive = write_archive(tmp_path, count=8)
    index = archive.with_suffix(".json")
    entries = json.loads(index.read_text())
    for entry in entries[2:]:
        entry["split"] = split
    index.write_text(json.dumps(entries))
    items = build_pack(DataSettings(images=(archive,), size=80), tmp_path / "pack").items
    assert len(items) == 2


def test_nothing_but_the_training_split_of_the_real_data_is_taken(shared_data: Path) -> None:
    everything = DataSettings()
    for name in ("videos/manifest.json", "clips2/manifest.json", "images.json", "images2.json"):
        entries = json.loads((shared_data / name).read_text())
        taken = [entry for entry in entries if takes(everything, entry)]
        assert {entry.get("split", "train") for entry in taken} == {"train"}


def test_a_tier_below_a_is_not_clearly_licensed() -> None:
    assert CLEAR.keeps("MIT (repo)", "A")
    assert not CLEAR.keeps("MIT (repo)", "B")
    assert LicenseSettings().keeps("MIT (repo)", "B")


def test_repeated_and_blank_frames_are_kept_once_or_not_at_all(tmp_path: Path) -> None:
    write_clip(tmp_path / "still.mp4", shades=[200])
    write_clip(tmp_path / "blank.mp4", shades=[0] * 8)
    write_manifest(tmp_path, {"still": "train", "blank": "train"})
    items = build_pack(DataSettings(videos=(tmp_path,), size=80), tmp_path / "pack").items
    assert [item.source for item in items] == ["some/still"]


def test_an_unreadable_clip_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    write_manifest(tmp_path, {"bad": "train"})
    with pytest.raises(MediaError, match=r"bad\.mp4"):
        build_pack(DataSettings(videos=(tmp_path,)), tmp_path / "pack")


def test_a_folder_without_pack_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no pack"):
        Pack(tmp_path)


def test_the_summary_counts_by_source_and_license(pack: Pack) -> None:
    summary = credited(pack.items, "pictures")
    assert sum(int(row["pictures"]) for row in summary) == 30
    assert {row["license"] for row in summary} >= {"CC0-1.0", "MIT", "none needed"}


def test_a_batch_holds_no_group_twice(pack: Pack) -> None:
    batch = maker(pack).make(1, size=72)
    assert len(set(batch.groups.tolist())) == 8
    assert batch.weak.shape == batch.strong.shape == (8, 72, 72, 3)
    assert batch.overlaps.shape == (72, 72)
    assert bool((batch.overlaps.sum(dim=1) <= 1.001).all())


def test_a_batch_follows_from_seed_and_step(pack: Pack) -> None:
    first, again = maker(pack).make(3, size=72), maker(pack).make(3, size=72)
    assert torch.equal(first.strong, again.strong)
    assert torch.equal(first.weak, again.weak)
    assert not torch.equal(first.strong, maker(pack).make(4, size=72).strong)
    assert not torch.equal(first.strong, maker(pack, seed=1).make(3, size=72).strong)


def test_batches_draw_from_training_pictures_only(pack: Pack) -> None:
    train = len({pack.items[index].group for index in pack.select(validation=False)})
    batches = [maker(pack).make(step, size=72) for step in range(6)]
    assert max(int(batch.groups.max()) for batch in batches) < train
