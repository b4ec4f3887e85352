"""Starting weights from a TFLite file agree with the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubl.errors import WeightsUnavailable
from dubl.training.teacher import network_from_tflite
from dubl.training.tflite import read_convolutions

FILE = "teacher/mobilenet_v2_1.0_224_quant.tflite"


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\x00" * 7)
    with pytest.raises(WeightsUnavailable, match="not a readable TFLite model"):
        read_convolutions(path)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable):
        network_from_tflite(tmp_path / "absent.tflite")


def test_weights_are_dequantized_into_torch_order(shared_data: Path) -> None:
    convolutions = read_convolutions(shared_data / FILE)
    assert convolutions[0].weight.shape == (32, 3, 3, 3)
    assert convolutions[1].weight.shape == (32, 1, 3, 3)
    assert all(abs(float(layer.weight.mean())) < 5 for layer in convolutions)


def test_the_network_takes_every_layer_of_the_file(shared_data: Path) -> None:
    network = network_from_tflite(shared_data / FILE)
    last = read_convolutions(shared_data / FILE)[51]
    weight = network.state_dict()["stages.4.4.convolution.weight"]
    assert weight.shape == last.weight.shape
    assert float(abs(weight.numpy() - last.weight).max()) == 0
