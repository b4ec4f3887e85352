"""A model of published files indexes and matches in a feature space of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dubl.assembly import (
    SHIPPED_WEIGHTS,
    feature_spec,
    make_embedder,
    make_reranker,
    make_retriever,
    make_store,
    query_sampling,
)
from dubl.errors import FeatureSpaceMismatch, WeightsUnavailable
from dubl.index.store import Entry
from dubl.matching.calibration import (
    CALIBRATION_FILE,
    Calibration,
    save_calibration,
)
from dubl.models import published as published_module
from dubl.models.networks import load_network
from dubl.models.presets import PRESETS
from dubl.models.published import build_model, load_preset
from dubl.models.visil import load_comparator
from dubl.settings import Settings, load_settings
from dubl.types import FrameClip, ReferenceDraft, VideoFacts, VideoSource
from tests.unit.models.published_files import write_files

FRAMES = 4


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models of random weights, named as their presets."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published_module, "check_published", lambda *_: None)  # random weights
        for name in ("s2vs_dns", "visil", "dns_fg_bin_student", "sscd"):
            write_files(name, folder / "files" / name)
            build_model(PRESETS[name], folder / "files" / name, folder / name)
    return folder


def configured(models: Path, name: str, data: Path) -> Settings:
    return load_settings(
        None, [f"model.weights={models / name}", f"data_dir={data}"], environment={}
    )


def clip(seed: int) -> FrameClip:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (FRAMES, 7, 7, 3), dtype=np.uint8)
    return FrameClip(
        frames=coarse.repeat(32, axis=1).repeat(32, axis=2),
        timestamps_s=np.arange(FRAMES, dtype=np.float64),
        views=np.zeros(FRAMES, dtype=np.uint8),
        facts=VideoFacts(
            duration_s=float(FRAMES),
            width=224,
            height=224,
            rotation_deg=0,
            codec="h264",
            container="mp4",
            frame_rate_hz=25.0,
            backend="pyav",
        ),
    )


def entry(name: str, settings: Settings, seed: int) -> Entry:
    return Entry(
        draft=ReferenceDraft(id=name),
        source=VideoSource(path=name, sha256=name, size_bytes=1, name=name),
        features=make_embedder(settings).embed([clip(seed)])[0],
    )


@pytest.mark.parametrize(
    ("name", "dims", "side", "resize"),
    [
        ("s2vs_dns", 512, 224, "crop"),
        ("dns_fg_bin_student", 512, 224, "crop"),
        ("visil", 3840, 224, "crop"),
        ("sscd", 512, 288, "squash"),
    ],
)
def test_a_copy_is_found_with_a_published_model(
    name: str, dims: int, side: int, resize: str, models: Path, tmp_path: Path
) -> None:
    settings = configured(models, name, tmp_path / "data")
    spec = feature_spec(settings)
    assert (spec.frame_size, spec.resize, spec.regions) == (side, resize, 9)
    assert (spec.descriptor_dims, spec.region_dims) == (dims, dims)
    assert query_sampling(settings).resize == resize
    make_store(settings).register([entry(one, settings, seed) for seed, one in enumerate("ab")])
    query = make_embedder(settings).embed([clip(1)])[0]
    candidates = make_retriever(settings).retrieve(query)
    assert candidates.candidates[0].reference_id == "b"
    calibration = Calibration(intercept=-1.0, weights={"comparator": 1.0}, floor=0.1, level=0.2)
    save_calibration(calibration, models / name / CALIBRATION_FILE)
    match = make_reranker(settings).rerank(query, candidates).matches[0]
    (models / name / CALIBRATION_FILE).unlink()
    assert match.reference_id == "b"
    assert match.similarity > 0.95


def test_a_model_that_was_not_calibrated_gives_no_verdicts(models: Path, tmp_path: Path) -> None:
    settings = configured(models, "s2vs_dns", tmp_path)
    make_store(settings)
    with pytest.raises(WeightsUnavailable, match=r"pipelines\.calibrate SUITE --weights"):
        make_reranker(settings)


def test_features_of_two_models_never_meet(models: Path, tmp_path: Path) -> None:
    make_store(configured(models, "s2vs_dns", tmp_path))
    with pytest.raises(FeatureSpaceMismatch):
        make_store(configured(models, "visil", tmp_path))


@pytest.mark.parametrize("name", ["s2vs_dns", "visil", "dns_fg_bin_student"])
def test_the_comparator_is_the_published_one(name: str, models: Path) -> None:
    network = load_comparator(models / name)
    assert network is not None
    config = PRESETS[name].config
    assert config is not None
    assert network.config == config
    original = load_preset(name, config, models / "files" / name / f"{name}.pth")
    for key, value in original.state_dict().items():
        torch.testing.assert_close(network.state_dict()[key], value, atol=1e-3, rtol=1e-3)


def test_the_extractor_keeps_its_precision(models: Path) -> None:
    network = load_network(models / "s2vs_dns")
    published = torch.load(models / "files/s2vs_dns/resnet50-0676ba61.pth")
    state = network.state_dict()
    assert torch.equal(state["extractor.1.0.cnn.conv1.weight"], published["conv1.weight"])


def test_an_absent_file_is_named_with_its_address(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"s2vs_dns\.pth cannot be read.*https://mever"):
        build_model(PRESETS["s2vs_dns"], tmp_path, tmp_path / "s2vs_dns")


def test_an_unknown_network_is_refused(tmp_path: Path) -> None:
    card = (SHIPPED_WEIGHTS / "dubl-compact/card.json").read_text()
    (tmp_path / "card.json").write_text(card.replace('"feature": {', '"feature": {"network": "x",'))
    with pytest.raises(WeightsUnavailable, match="unknown network 'x'"):
        load_network(tmp_path)
