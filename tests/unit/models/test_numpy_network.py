"""The network in numpy is the one that OpenVINO runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubl.assembly import SHIPPED_WEIGHTS, make_embedder
from dubl.errors import WeightsUnavailable
from dubl.models.numpy_network import NumpyNetwork
from dubl.models.openvino_network import OpenVinoNetwork
from dubl.settings import load_settings


def test_both_runtimes_give_the_same_features() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (3, 10, 10, 3)).repeat(16, 1).repeat(16, 2)
    frames = np.concatenate([coarse, rng.integers(0, 256, (3, 160, 160, 3))]).astype(np.uint8)
    folder = SHIPPED_WEIGHTS / "dubl-compact"
    ours = NumpyNetwork(folder).describe(frames)
    theirs = OpenVinoNetwork(folder, frame_size=160, threads=1).describe(frames)
    for found, wanted in zip(ours, theirs, strict=True):
        assert found.dtype == wanted.dtype
        assert np.abs(found.astype(float) - wanted.astype(float)).max() < 1e-3


def test_odd_sides_are_padded_alike() -> None:
    frames = np.random.default_rng(1).integers(0, 256, (2, 101, 101, 3)).astype(np.uint8)
    folder = SHIPPED_WEIGHTS / "dubl-compact"
    ours = NumpyNetwork(folder).describe(frames)
    theirs = OpenVinoNetwork(folder, frame_size=101, threads=1).describe(frames)
    assert np.abs(ours[1].astype(float) - theirs[1].astype(float)).max() < 1e-3


def test_other_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="do not fit"):
        NumpyNetwork(SHIPPED_WEIGHTS / "dubl-sound")
    settings = load_settings(overrides=[f"data_dir={tmp_path}"])
    assert make_embedder(settings, runtime=False).spec == make_embedder(settings).spec
