"""The compact network by torch and by OpenVINO: one function, and a process that needs no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dubl.errors import WeightsUnavailable
from dubl.models import devices
from dubl.models.checkpoints import ModelCard, save_checkpoint
from dubl.models.compact import load_compact
from dubl.models.embedder import FrameDescriptions
from dubl.models.openvino_network import OpenVinoNetwork
from dubl.models.torch_network import TorchNetwork
from dubl.types import Uint8Array
from pipelines.export_graph import export_graph

SHIPPED = Path(__file__).resolve().parents[3] / "dubl/models/weights/dubl-compact"
CPU = torch.device("cpu")


def frames(count: int, *, side: int) -> Uint8Array:
    coarse = np.random.default_rng(0).random((count, 6, 6, 3)) * 255
    return (
        coarse.astype(np.uint8).repeat(-(-side // 6), 1).repeat(-(-side // 6), 2)[:, :side, :side]
    )


@pytest.mark.parametrize("side", [160, 97])
def test_both_runtimes_describe_frames_alike(side: int) -> None:
    shown = frames(3, side=side)
    by_torch = TorchNetwork(load_compact(SHIPPED), device=CPU).describe(shown)
    ours = OpenVinoNetwork(SHIPPED, frame_size=side, threads=1).describe(shown)
    np.testing.assert_allclose(ours.descriptors, by_torch.descriptors, atol=1e-3)
    np.testing.assert_allclose(ours.region_features, by_torch.region_features, atol=1e-3)
    assert ours.descriptors.dtype == by_torch.descriptors.dtype == np.float16


def test_the_graph_exported_anew_says_the_same(tmp_path: Path) -> None:
    export_graph(tmp_path)
    shown = frames(2, side=97)
    ours = OpenVinoNetwork(SHIPPED, frame_size=97, threads=1).describe(shown)
    anew = OpenVinoNetwork(SHIPPED, frame_size=97, threads=1, graphs=tmp_path).describe(shown)
    np.testing.assert_allclose(anew.descriptors, ours.descriptors, atol=1e-3)
    np.testing.assert_allclose(anew.region_features, ours.region_features, atol=1e-3)


def test_a_new_network_has_made_its_first_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one in two threads at once may never end."""
    made, describe = [], OpenVinoNetwork.describe

    def noted(self: OpenVinoNetwork, shown: Uint8Array) -> FrameDescriptions:
        made.append(len(shown))
        return describe(self, shown)

    monkeypatch.setattr(OpenVinoNetwork, "describe", noted)
    OpenVinoNetwork(SHIPPED, frame_size=97, threads=1)
    assert made == [1]


def test_half_precision_keeps_the_features() -> None:
    shown = frames(3, side=160)
    whole, half = (
        TorchNetwork(load_compact(SHIPPED), device=CPU, half=half).describe(shown)
        for half in (False, True)
    )
    for exact, rounded in zip(whole, half, strict=True):
        cosines = (exact.astype(np.float32) * rounded.astype(np.float32)).sum(axis=-1)
        assert cosines.min() > 0.999


def test_a_process_that_serves_on_a_cpu_loads_no_torch(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from dubl.assembly import make_embedder, make_reranker\n"
        "from dubl.settings import load_settings\n"
        "settings = load_settings(None, ['model.device=cpu', f'data_dir={sys.argv[1]}'])\n"
        "make_embedder(settings), make_reranker(settings)\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, nn.Linear(2, 2).state_dict(), ModelCard(name="other"))
    with pytest.raises(WeightsUnavailable, match="do not fit this network"):
        OpenVinoNetwork(tmp_path, frame_size=160, threads=1)


def test_a_gpu_that_is_not_there_is_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_DRIVERS", ())
    assert not devices.wants_gpu("cuda")
    assert "no usable GPU" in caplog.text


def test_a_driver_without_a_gpu_that_torch_can_use_means_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_DRIVERS", (tmp_path,))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not devices.wants_gpu("auto")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.wants_gpu("auto")
    assert not devices.wants_gpu("cpu")
