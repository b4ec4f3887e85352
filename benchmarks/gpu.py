"""On a GPU: frames a second of the embedder, as a share of what the card allows, and beside
torchvision's ResNet50 compiled. Skipped, with the reason, where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.results import Figure, plain, run, skipped
from dubl.assembly import feature_spec, weights_folder
from dubl.models.devices import wants_gpu
from dubl.settings import load_settings

BATCH = 512
PASSES = 20
# Multiplications and additions of one frame at 160 px: MobileNetV2's 300 M at 224 px, scaled.
OPERATIONS = 2 * 300e6 * (160 / 224) ** 2
RESNET_SIDE = 224


def measure() -> list[Figure]:
    if not wants_gpu("auto"):
        reason = "this machine has no GPU that torch can use"
        return [
            skipped("frames a second of the embedder", unit="1/s", reason=reason),
            skipped("share of the card's measured peak", unit="", reason=reason),
            skipped("embedder over ResNet50 compiled, frames a second", unit="×", reason=reason),
        ]
    ours = _embedder_rate()
    peak, resnet = _peak_operations(), _resnet_rate()
    setup = f"batches of {BATCH} frames from host memory, float16, {_card()}"
    share = ours * OPERATIONS / peak
    return [
        plain("frames a second of the embedder", ours, unit="1/s", setup=setup),
        plain("share of the card's measured peak", share, unit="", setup="of a float16 product"),
        plain(
            "embedder over ResNet50 compiled, frames a second", ours / resnet, unit="×", setup=setup
        ),
    ]


def _embedder_rate() -> float:
    import torch

    from dubl.models.compact import load_compact
    from dubl.models.torch_network import TorchNetwork

    settings = load_settings("configs/local.yaml")
    side = feature_spec(settings).frame_size
    compact = load_compact(weights_folder(settings))
    network = TorchNetwork(compact, device=torch.device("cuda"), half=True)
    frames = np.zeros((BATCH, side, side, 3), dtype=np.uint8)
    return BATCH / _seconds(lambda: network.describe(frames))


def _resnet_rate() -> float:
    import torch
    from torchvision.models import resnet50

    network = resnet50(weights=None).eval().to("cuda", torch.float16)
    compiled = torch.compile(network.to(memory_format=torch.channels_last))
    pixels = torch.zeros(BATCH, 3, RESNET_SIDE, RESNET_SIDE, device="cuda", dtype=torch.float16)
    pixels = pixels.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        return BATCH / _seconds(partial(compiled, pixels))


def _peak_operations() -> float:
    """Operations a second of a large float16 product: what the card reaches, not its data sheet."""
    import torch

    side = 8192
    left = torch.zeros(side, side, device="cuda", dtype=torch.float16)
    return 2 * side**3 / _seconds(lambda: left @ left)


def _seconds(work: Callable[[], object]) -> float:
    import torch

    for _ in range(3):
        work()
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(PASSES):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - started) / PASSES


def _card() -> str:
    import torch

    return torch.cuda.get_device_name()


if __name__ == "__main__":
    run("gpu", measure)
