"""The compact network on a CPU, by OpenVINO: two to four times as fast as by torch, and without it.

`graphs/compact.xml` is dubl.models.compact, traced by pipelines/export_graph.py. It contains no
weights. The layout beside it lists the tensors of a weights file in the order of the graph.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import openvino

from dubl.errors import WeightsUnavailable
from dubl.models.cards import read_weights
from dubl.models.embedder import FrameDescriptions
from dubl.types import Uint8Array

GRAPHS = Path(__file__).parent / "graphs"
GRAPH, LAYOUT = "compact.xml", "compact.json"


class OpenVinoNetwork:
    """FrameNetwork (dubl.models.embedder) on a CPU.

    float32: bfloat16 takes half the time where the processor has it, but turns descriptors by up
    to six degrees against those that other machines stored.
    """

    def __init__(
        self, folder: Path, *, frame_size: int, threads: int, graphs: Path = GRAPHS
    ) -> None:
        """Reads the weights in a model's folder. Raises WeightsUnavailable."""
        core = openvino.Core()
        model = core.read_model((graphs / GRAPH).read_bytes(), _constants(folder, graphs))
        model.reshape([-1, frame_size, frame_size, 3])
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self._compiled = core.compile_model(model, "CPU", options)
        # OpenVINO meets numpy in its first inference. Two threads at once, each in its first, wait
        # for each other for ever: one for the interpreter's lock, one for a lock of C++.
        self.describe(np.zeros((1, frame_size, frame_size, 3), dtype=np.uint8))

    def describe(self, frames: Uint8Array) -> FrameDescriptions:
        """Features of frames [N,S,S,3]. Threads may call it at once."""
        request = self._compiled.create_infer_request()
        descriptors, regions = request.infer([np.ascontiguousarray(frames)]).values()
        return FrameDescriptions(
            descriptors=descriptors.astype(np.float16), region_features=regions.astype(np.float16)
        )


def _constants(folder: Path, graphs: Path) -> bytes:
    """The graph's data: the weights, then its own constants."""
    layout = json.loads((graphs / LAYOUT).read_text(encoding="utf-8"))
    arrays = read_weights(folder).arrays
    if {name: list(values.shape) for name, values in arrays.items()} != layout["tensors"]:
        raise WeightsUnavailable(f"the weights in {folder} do not fit this network")
    weights = [arrays[name].astype(np.float32).tobytes() for name in layout["tensors"]]
    return b"".join([*weights, base64.b64decode(layout["constants"])])
