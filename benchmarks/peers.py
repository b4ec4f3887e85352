"""A whole check of one clip beside what others do with it: CPU seconds in one run, one thread."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.material import InProcessFlow, bench_clip, filled_library, pictures
from benchmarks.results import Figure, plain, run, skipped
from benchmarks.usage import ProcessTree
from dubl.evaluation.report.writing import machine
from dubl.media.sources import local_source

REFERENCES = 1000
REPEATS = 3
SIDE = 224
BATCH = 8
CANDIDATES = 10


def measure() -> list[Figure]:
    clip = bench_clip()
    setup = f"30 s 720p H.264 clip, 1 frame a second, {machine()}"
    ours = _cost(_own_check(clip))
    figures = [plain("Dubl, whole check among 1 000", ours, unit="CPU s", setup=setup)]
    peers = {
        "PDQ of whole frames (vPDQ's hash, without its look-up)": _pdq,
        "ResNet50, mean-pooled, brute force among 1 000 (the origin's way)": _resnet_mean,
        f"S2VS over ResNet50 L-iMAC, {CANDIDATES} candidates": _s2vs,
    }
    for name, prepare in peers.items():
        try:
            check = prepare(clip)
        except ImportError as exc:
            figures.append(skipped(name, unit="CPU s", reason=str(exc)))
            continue
        cost = _cost(check)
        figures.append(plain(name, cost, unit="CPU s", setup=f"{setup}; random weights"))
        figures.append(plain(f"{name}: over Dubl", cost / ours, unit="×", setup="the same run"))
    if importlib.util.find_spec("vpdq") is None:
        reason = "the package vpdq has no wheel and needs FFmpeg's development files to build"
        figures.append(skipped("vPDQ, its own package", unit="CPU s", reason=reason))
    return figures


def _cost(check: Callable[[], object]) -> float:
    """Median CPU seconds, children among them."""
    check()
    tree, costs = ProcessTree(os.getpid()), []
    for _ in range(REPEATS):
        before = tree.cpu_s()
        check()
        costs.append(tree.cpu_s() - before)
    return median(costs)


def _own_check(clip: Path) -> Callable[[], object]:
    settings = filled_library("peers", clip, references=REFERENCES)
    flow, source = InProcessFlow(settings), local_source(clip)
    return lambda: flow.check(source)


def _pdq(clip: Path) -> Callable[[], object]:
    compute = importlib.import_module("pdqhash").compute
    return lambda: [compute(frame) for frame in pictures(clip, rate_hz=1.0, side=None)]


def _resnet_mean(clip: Path) -> Callable[[], object]:
    import torch
    from torchvision.models import resnet50

    torch.set_num_threads(1)
    network = resnet50(weights=None).eval()
    network.fc = torch.nn.Identity()
    stored = torch.nn.functional.normalize(torch.rand(REFERENCES, 2048))

    @torch.inference_mode()
    def check() -> object:
        frames = torch.from_numpy(np.stack(list(pictures(clip, rate_hz=1.0, side=SIDE))))
        pixels = frames.permute(0, 3, 1, 2).float() / 255
        pooled = torch.cat([network(part) for part in torch.split(pixels, BATCH)]).mean(dim=0)
        return (stored @ torch.nn.functional.normalize(pooled, dim=0)).argmax()

    return check


def _s2vs(clip: Path) -> Callable[[], object]:
    import torch

    from dubl.models.limac import LimacExtractor
    from dubl.models.visil import Visil

    torch.set_num_threads(1)
    extractor, network = LimacExtractor().eval(), Visil().eval()
    stored = [torch.nn.functional.normalize(torch.randn(60, 9, 512), dim=-1)] * CANDIDATES

    @torch.inference_mode()
    def check() -> object:
        frames = torch.from_numpy(np.stack(list(pictures(clip, rate_hz=1.0, side=SIDE))))
        regions = torch.cat([extractor(part) for part in torch.split(frames, BATCH)])
        indexed = network.index_video(regions)
        return [network.similarity(indexed, one) for one in stored]

    return check


if __name__ == "__main__":
    run("peers", measure)
