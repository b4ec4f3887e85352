"""A whole run: clips in, a comparator out that loads beside the weights it was made for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from dubl.assembly import SHIPPED_WEIGHTS
from dubl.errors import ConfigurationError
from dubl.models.cards import CARD_FILE
from dubl.models.visil import COMPARATOR_CARD_FILE, COMPARATOR_FILE, load_comparator
from dubl.training import comparator_run
from dubl.training.comparator_run import ComparatorRun
from dubl.training.config import ComparatorConfig, TrainingConfig, parse_config
from tests.unit.training.packs import short_scene

TINY = """
clips: {scenes: 3, validation_scenes: 2, versions: 1, min_frames: 4, max_frames: 4}
run: {steps: 2, clips: 2, frames: [4], log_every: 1, checkpoint_every: 1, validate_every: 2}
"""
CONFIGS = Path(__file__).resolve().parents[3] / "configs"


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dubl.training.clips.scene_frames", short_scene)
        yield


@pytest.fixture(scope="module")
def config() -> ComparatorConfig:
    return parse_config(ComparatorConfig, TINY)


@pytest.fixture(scope="module")
def embedded(
    tmp_path_factory: pytest.TempPathFactory, config: ComparatorConfig, _quick: None
) -> Path:
    """A run's folder before its first step: the features are there."""
    folder = tmp_path_factory.mktemp("embedded")
    ComparatorRun(config, folder)
    return folder


@pytest.fixture
def folder(embedded: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(embedded, tmp_path / "run")


def test_a_whole_run_gives_a_comparator_for_the_weights_it_read(
    tmp_path: Path, config: ComparatorConfig
) -> None:
    export = ComparatorRun(config, tmp_path / "run").run(resume=False)
    assert (tmp_path / "run/loss.png").is_file()
    results = json.loads((tmp_path / "run/validation.json").read_text())
    assert set(results) == {"plain", "2"}
    weights = tmp_path / "weights"
    weights.mkdir()
    shutil.copy(SHIPPED_WEIGHTS / "dubl-compact" / CARD_FILE, weights)
    for name in (COMPARATOR_FILE, COMPARATOR_CARD_FILE):
        shutil.copy(export / name, weights)
    network = load_comparator(weights)
    assert network is not None
    assert network.config.dims == 128


def test_a_run_resumes_with_the_features_that_are_there(
    folder: Path, config: ComparatorConfig
) -> None:
    ComparatorRun(config, folder).run(resume=False)
    (items,) = folder.glob("pack-*/items.json")
    before = items.stat().st_mtime_ns
    ComparatorRun(config, folder).run(resume=True)
    assert items.stat().st_mtime_ns == before


def test_a_run_that_is_cut_off_while_it_exports_exports_when_it_goes_on(
    folder: Path, config: ComparatorConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(comparator_run, "save_comparator", cut_off)
        with pytest.raises(KeyboardInterrupt):
            ComparatorRun(config, folder).run(resume=True)
    export = ComparatorRun(config, folder).run(resume=True)
    assert (export / COMPARATOR_FILE).is_file()
    assert set(json.loads((folder / "validation.json").read_text())) == {"plain", "2"}


@pytest.mark.parametrize("content", [b"", b"no checkpoint"])
def test_a_damaged_checkpoint_is_named(
    folder: Path, config: ComparatorConfig, content: bytes
) -> None:
    run = ComparatorRun(config, folder)
    (folder / "last.pt").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"last\.pt is no checkpoint"):
        run.run(resume=True)


def test_damaged_figures_are_named(folder: Path, config: ComparatorConfig) -> None:
    ComparatorRun(config, folder).run(resume=True)
    (folder / "validation.json").write_text('{"plain"')
    with pytest.raises(ConfigurationError, match=r"validation\.json"):
        ComparatorRun(config, folder).run(resume=True)


def test_a_run_without_held_out_clips_is_refused(tmp_path: Path) -> None:
    config = parse_config(
        ComparatorConfig, TINY.replace("validation_scenes: 2", "validation_scenes: 0")
    )
    with pytest.raises(ConfigurationError, match="held out"):
        ComparatorRun(config, tmp_path)


def test_the_configuration_that_ships_is_valid() -> None:
    text = (CONFIGS / "train_comparator.yaml").read_text(encoding="utf-8")
    config = parse_config(ComparatorConfig, text)
    assert config.run == ComparatorConfig().run
    assert config.clips.validation_repositories


def test_the_configurations_of_clearly_licensed_data_differ_in_nothing_else() -> None:
    text = (CONFIGS / "train_comparator_clear.yaml").read_text(encoding="utf-8")
    clear = parse_config(ComparatorConfig, text)
    plain = parse_config(
        ComparatorConfig, (CONFIGS / "train_comparator.yaml").read_text(encoding="utf-8")
    )
    assert clear.run == plain.run
    assert clear.clips.licenses == plain.clips.licenses.model_copy(update={"clear_only": True})
    network = parse_config(
        TrainingConfig, (CONFIGS / "train_descriptor_clear.yaml").read_text(encoding="utf-8")
    )
    assert network.data.licenses == clear.clips.licenses
    assert network.weights is None
