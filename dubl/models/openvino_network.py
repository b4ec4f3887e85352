"""The compact network on a CPU, by OpenVINO: the same function as dubl.models.compact at twice
to four times its speed there, in a process without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino
from openvino import Node, opset13

from dubl.errors import WeightsUnavailable
from dubl.models.architecture import GEM_POWER, GRID, STAGES
from dubl.models.cards import WEIGHTS_FILE, read_weights_file
from dubl.models.embedder import FrameDescriptions
from dubl.models.state_file import State, read_arrays
from dubl.types import Float32Array, Uint8Array

_SMALLEST_SQUARE = 1e-24  # torch's normalize divides by at least 1e-12
_DEEP_STAGES = 3  # the last maps, from which region features are taken


class OpenVinoNetwork:
    """FrameNetwork (dubl.models.embedder) on a CPU.

    float32: bfloat16 takes half the time where the processor has it, but turns descriptors by up
    to six degrees against those that other machines stored.
    """

    def __init__(self, folder: Path, *, frame_size: int, threads: int) -> None:
        """Reads `weights.pt`, checked against `card.json`. Raises WeightsUnavailable."""
        content, _ = read_weights_file(folder)
        state = read_arrays(content, name=str(folder / WEIGHTS_FILE))
        model = _model(state, frame_size, folder=folder)
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self._compiled = openvino.Core().compile_model(model, "CPU", options)

    def describe(self, frames: Uint8Array) -> FrameDescriptions:
        """Features of frames [N,S,S,3]. Threads may call it at once."""
        request = self._compiled.create_infer_request()
        descriptors, regions = request.infer([np.ascontiguousarray(frames)]).values()
        return FrameDescriptions(
            descriptors=descriptors.astype(np.float16), region_features=regions.astype(np.float16)
        )


def _model(state: State, frame_size: int, *, folder: Path) -> openvino.Model:
    frames = opset13.parameter([-1, frame_size, frame_size, 3], np.uint8, name="frames")
    try:
        outputs = _Graph(state).features(frames)
    except (KeyError, RuntimeError) as exc:
        raise WeightsUnavailable(f"the weights in {folder} do not fit this network") from exc
    return openvino.Model(outputs, [frames], "compact")


class _Graph:
    """Builds the network node by node; names are those of the state dict."""

    def __init__(self, state: State) -> None:
        self._state = state

    def features(self, frames: Node) -> list[Node]:
        """uint8 [N,S,S,3] → descriptors [N,256] and region features [N,9,128]."""
        scaled = opset13.divide(opset13.convert(frames, np.float32), np.float32(128))
        maps = opset13.transpose(opset13.subtract(scaled, np.float32(1)), np.array([0, 3, 1, 2]))
        results = []
        for number, groups in enumerate(STAGES):
            maps = self._stage(maps, number, groups)
            results.append(maps)
        descriptors = self._head(_unit(_generalized_mean(maps), 1), "descriptor_head")
        grids = [_unit(_grid_maxima(part), 2) for part in results[-_DEEP_STAGES:]]
        regions = self._head(opset13.concat(grids, 2), "region_head")
        return [_unit(descriptors, 1), _unit(regions, 2)]

    def _stage(self, maps: Node, stage: int, groups: Sequence[tuple[int, int, int, int]]) -> Node:
        place = 0
        if stage == 0:
            maps, place = self._convolution(maps, "stages.0.0", stride=2), 1
        for expansion, _, blocks, stride in groups:
            for block in range(blocks):
                step = stride if block == 0 else 1
                maps = self._block(maps, f"stages.{stage}.{place}", expansion, stride=step)
                place += 1
        if stage == len(STAGES) - 1:
            maps = self._convolution(maps, f"stages.{stage}.{place}")
        return maps

    def _block(self, maps: Node, name: str, expansion: int, *, stride: int) -> Node:
        place, wide = 0, maps
        if expansion > 1:
            wide, place = self._convolution(maps, f"{name}.layers.0"), 1
        wide = self._convolution(wide, f"{name}.layers.{place}", stride=stride, by_channel=True)
        narrow = self._convolution(wide, f"{name}.layers.{place + 1}", bounded=False)
        same = narrow.get_output_partial_shape(0)[1] == maps.get_output_partial_shape(0)[1]
        return opset13.add(maps, narrow) if stride == 1 and same else narrow

    def _convolution(
        self,
        maps: Node,
        name: str,
        *,
        stride: int = 1,
        by_channel: bool = False,
        bounded: bool = True,
    ) -> Node:
        weights = self._state[f"{name}.convolution.weight"]
        bias = self._state[f"{name}.convolution.bias"]
        begin, end = _padding(maps, weights, stride)
        strides, steps = [stride, stride], [1, 1]
        if by_channel:
            filtered = opset13.group_convolution(
                maps, weights[:, :, None], strides, begin, end, steps
            )
        else:
            filtered = opset13.convolution(maps, weights, strides, begin, end, steps)
        shifted = opset13.add(filtered, bias[None, :, None, None])
        return opset13.clamp(shifted, 0.0, 6.0) if bounded else shifted

    def _head(self, values: Node, name: str) -> Node:
        product = opset13.matmul(values, self._state[f"{name}.weight"], False, True)
        return opset13.add(product, self._state[f"{name}.bias"])


def _padding(maps: Node, weights: Float32Array, stride: int) -> tuple[list[int], list[int]]:
    """TensorFlow's "SAME": with stride 2 and an even side, only at the right and the bottom."""
    if stride == 1:
        around = [weights.shape[2] // 2] * 2
        return around, around
    sides = [maps.get_output_partial_shape(0)[axis].get_length() for axis in (2, 3)]
    return [side % 2 for side in sides], [1, 1]


def _generalized_mean(maps: Node) -> Node:
    """[N,C,H,W] → [N,C]: (mean x^p)^(1/p)."""
    bounded = opset13.maximum(maps, np.float32(1e-6))
    powers = opset13.power(bounded, np.float32(GEM_POWER))
    mean = opset13.reduce_mean(powers, np.array([2, 3]), False)
    return opset13.power(mean, np.float32(1 / GEM_POWER))


def _grid_maxima(maps: Node) -> Node:
    """[N,C,H,W] → [N,9,C]: maxima over the cells of a 3x3 grid, row by row."""
    height, width = (maps.get_output_partial_shape(0)[axis].get_length() for axis in (2, 3))
    cells = []
    for top, bottom in _cells(height):
        row = opset13.reduce_max(_slice(maps, 2, top, bottom), np.array([2]), False)
        for left, right in _cells(width):
            cell = opset13.reduce_max(_slice(row, 2, left, right), np.array([2]), False)
            cells.append(opset13.unsqueeze(cell, np.array([1])))
    return opset13.concat(cells, 1)


def _slice(values: Node, axis: int, start: int, stop: int) -> Node:
    return opset13.slice(
        values, np.array([start]), np.array([stop]), np.array([1]), np.array([axis])
    )


def _cells(side: int) -> list[tuple[int, int]]:
    return [(i * side // GRID, -(-(i + 1) * side // GRID)) for i in range(GRID)]


def _unit(values: Node, axis: int) -> Node:
    return opset13.normalize_l2(values, np.array([axis]), _SMALLEST_SQUARE, "max")
