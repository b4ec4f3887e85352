"""A user's labeled pairs: reading the CSV, tuning, and a model's folder that follows the labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dubl.assembly import feature_spec, make_embedder
from dubl.errors import ConfigurationError
from dubl.footage.textures import dead_leaves
from dubl.footage.video_file import Encoding, TimedFrame, write_video
from dubl.matching.calibration import load_calibration, probability
from dubl.matching.reranker import ViSiLReranker
from dubl.media.decoder import FileDecoder
from dubl.models.numpy_comparator import NumpyComparator
from dubl.models.visil import Visil, load_comparator
from dubl.models.visil_config import VisilConfig
from dubl.settings import Settings, load_settings
from dubl.training.pair_run import (
    LabeledPair,
    PairRun,
    PairTrainer,
    RegionPair,
    pair_loss,
    read_pairs,
)
from tests.unit.matching.features import Shelf

SIZE = (160, 96)
PLACES = 5


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def write_csv(folder: Path, *rows: str, header: str = "query,reference,label") -> Path:
    for name in ("a.mp4", "b.mp4"):
        (folder / name).touch()
    path = folder / "pairs.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_paths_start_at_the_folder_of_the_csv(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "a.mp4,b.mp4,1", f"{tmp_path}/b.mp4,a.mp4, 0")
    first, second = read_pairs(path)
    assert first == LabeledPair(query=tmp_path / "a.mp4", reference=tmp_path / "b.mp4", copy=True)
    assert (second.query, second.copy) == (tmp_path / "b.mp4", False)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.mp4,b.mp4,yes", "row 3: label must be 1 or 0, not 'yes'"),
        ("a.mp4,b.mp4", "row 3: label must be 1 or 0, not ''"),
        ("gone.mp4,b.mp4,1", "row 3: query 'gone.mp4' is no file"),
        ("a.mp4,,1", "row 3: reference '' is no file"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_pairs(write_csv(tmp_path, "a.mp4,b.mp4,0", row))


def test_all_wrong_rows_are_named_at_once(tmp_path: Path) -> None:
    rows = ["a.mp4,b.mp4,0", "a.mp4,b.mp4,2", "b.mp4,a.mp4,1", "b.mp4,a.mp4,0"]
    with pytest.raises(ConfigurationError, match=r"row 3: label.*; row 5: contradicts row 4$"):
        read_pairs(write_csv(tmp_path, *rows))
    with pytest.raises(ConfigurationError, match=r"\(and 2 more\)$"):
        read_pairs(write_csv(tmp_path, *["a.mp4,b.mp4,x"] * 7))


def test_a_pair_that_is_listed_twice_counts_once(tmp_path: Path) -> None:
    rows = ["a.mp4,b.mp4,0", "a.mp4,b.mp4,0", "b.mp4,a.mp4,1"]
    assert len(read_pairs(write_csv(tmp_path, *rows))) == 2


def test_absent_columns_and_labels_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="lacks the columns label"):
        read_pairs(write_csv(tmp_path, "a.mp4,b.mp4", header="query,reference"))
    with pytest.raises(ConfigurationError, match="both labels"):
        read_pairs(write_csv(tmp_path, "a.mp4,b.mp4,1"))
    with pytest.raises(ConfigurationError, match="not a readable CSV"):
        read_pairs(tmp_path / "absent.csv")


def test_tuning_moves_similarities_towards_the_labels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    video, stranger = (torch.nn.functional.normalize(torch.randn(8, 4, 16), dim=-1) for _ in "ab")
    # Upside down on purpose: what is equal is called no copy, what differs is called one.
    pairs = [
        RegionPair(query=video, reference=video, copy=False),
        RegionPair(query=video, reference=stranger, copy=True),
    ]
    network = Visil(VisilConfig(dims=16))
    before = [float(pair_loss(network, pair).detach()) for pair in pairs]
    trainer = PairTrainer(network, pairs, steps=25, seed=0)
    trainer.run(tmp_path / "last.pt", on_validation=lambda *_: None)
    assert trainer.curves("loss")["loss"]
    after = [float(pair_loss(network, pair).detach()) for pair in pairs]
    assert sum(after) < sum(before) - 0.2


def write_walk(path: Path, place: int, *, start: float) -> Path:
    """Three seconds of a window that moves over the painting of a place, from `start` on."""
    rng = np.random.default_rng(place)
    still = dead_leaves((SIZE[0] * 3, SIZE[1] * 2), rng)
    frames = []
    for index in range(24):
        left = (start + 0.2 * index / 24) * SIZE[0]
        picture = still.crop((int(left), 40, int(left) + SIZE[0], 40 + SIZE[1]))
        frames.append(TimedFrame(time_s=index / 8, image=np.asarray(picture.convert("RGB"))))
    write_video(path, iter(frames), frame_rate=8, encoding=Encoding())
    return path


def labeled_places(folder: Path) -> list[LabeledPair]:
    """Another part of the same place counts as a copy; another place does not."""
    references = [write_walk(folder / f"r{n}.mp4", n, start=0.0) for n in range(PLACES)]
    queries = [write_walk(folder / f"q{n}.mp4", n, start=0.6) for n in range(PLACES)]
    return [
        LabeledPair(query=queries[n], reference=references[m], copy=n == m)
        for n in range(PLACES)
        for m in (n, (n + 1) % PLACES)
    ]


def chances(settings: Settings, folder: Path, pairs: list[LabeledPair]) -> list[float]:
    """Probabilities of the pairs by the model in `folder`."""
    calibration = load_calibration(folder / "calibration.json")
    run = PairRun(
        settings, folder, decoder=FileDecoder(settings.media), embedder=make_embedder(settings)
    )
    reranker = ViSiLReranker(Shelf({}), NumpyComparator(folder), calibration, settings.matching)
    return [
        probability(reranker.compare(pair.query, {"it": pair.reference})["it"].signals, calibration)
        for pair in run.embedded(pairs)
    ]


def test_the_result_follows_labels_that_the_shipped_model_would_not_give(tmp_path: Path) -> None:
    pairs = labeled_places(tmp_path)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    settings = load_settings(None, [], environment={})
    run = PairRun(
        settings,
        tmp_path / "model",
        decoder=FileDecoder(settings.media),
        embedder=make_embedder(settings),
    )
    torn = LabeledPair(query=broken, reference=pairs[0].reference, copy=True)
    folder = run.run([*pairs, torn], steps=12)
    assert (folder / "loss.png").is_file()
    assert list(json.loads((folder / "left_out.json").read_text())) == [str(broken)]
    assert len(json.loads((folder / "pairs.json").read_text())) == len(pairs)

    tuned = load_settings(None, [f"model.weights={folder}"], environment={})
    assert feature_spec(tuned) == feature_spec(settings)
    assert load_comparator(folder) is not None
    found = dict(zip(pairs, chances(tuned, folder, pairs), strict=True))
    copies = [chance for pair, chance in found.items() if pair.copy]
    others = [chance for pair, chance in found.items() if not pair.copy]
    assert min(copies) > max(others)
    assert max(copies) > 0.5


def test_too_few_readable_pairs_are_refused(tmp_path: Path) -> None:
    settings = load_settings(None, [], environment={})
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    pair = LabeledPair(query=broken, reference=broken, copy=True)
    run = PairRun(
        settings,
        tmp_path / "model",
        decoder=FileDecoder(settings.media),
        embedder=make_embedder(settings),
    )
    with pytest.raises(ConfigurationError, match="0 copies and 0 others"):
        run.run([pair])
