"""Exports the graph of the compact network (dubl/models/compact.py) for OpenVINO.

    python -m pipelines.export_graph

Run it after that module changes. New weights need no export: the graph contains no weights, only
their places in the data that dubl/models/openvino_network.py builds from a model's folder.
"""

from __future__ import annotations

import base64
import json
import tempfile
import warnings
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree

import openvino
import torch
import typer

from dubl.models.compact import FRAME_SIZE, CompactNet
from dubl.models.openvino_network import GRAPH, GRAPHS, LAYOUT

ALIGNMENT = 8  # bytes, for int64


def export_graph(folder: Path) -> None:
    """Writes the graph and its layout into `folder`."""
    torch.manual_seed(0)
    network = CompactNet().eval().requires_grad_(False)
    for values in network.parameters():
        values.uniform_(-1, 1)  # all different: tensors are found in the graph by content
    frames = torch.zeros(1, FRAME_SIZE, FRAME_SIZE, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        # Torch deprecates tracing, but OpenVINO 2026.4 cannot convert a graph of torch.export
        # with frames of any size.
        warnings.simplefilter("ignore")
        model = openvino.convert_model(network, example_input=frames, input=[-1, -1, -1, 3])
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / "graph.xml"
        openvino.save_model(model, written, compress_to_fp16=False)
        graph = ElementTree.parse(written).getroot()
        content = written.with_suffix(".bin").read_bytes()
    state = {name: values.numpy() for name, values in network.state_dict().items()}
    constants = _point_at([values.tobytes() for values in state.values()], graph, content)
    layout = {
        "tensors": {name: values.shape for name, values in state.items()},
        "constants": base64.b64encode(constants).decode(),
    }
    (folder / LAYOUT).write_text(json.dumps(layout, indent=1) + "\n", encoding="utf-8")
    (folder / GRAPH).write_bytes(ElementTree.tostring(graph))


def _point_at(tensors: list[bytes], graph: ElementTree.Element, content: bytes) -> bytes:
    """Points the graph's constants at the tensors, one after another, or at the data after them,
    which is returned."""
    places, end = {}, 0
    for tensor in tensors:
        places[tensor] = end
        end += len(tensor)
    others = b"\0" * (-end % ALIGNMENT)
    for layer in graph.iter("layer"):
        for notes in layer.findall("rt_info"):
            layer.remove(notes)
        data = layer.find("data")
        if layer.get("type") != "Const" or data is None:
            continue
        start, size = int(data.attrib["offset"]), int(data.attrib["size"])
        values = content[start : start + size]
        if values not in places:
            places[values] = end + len(others)
            others += values + b"\0" * (-size % ALIGNMENT)
        data.set("offset", str(places[values]))
    return others


def main(
    folder: Annotated[Path, typer.Option(help="where the files go")] = GRAPHS,
) -> None:
    """Writes compact.xml and compact.json."""
    export_graph(folder)


if __name__ == "__main__":
    typer.run(main)
