"""Descriptors of sound: a small convolutional network over two seconds of bands, in numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import dubl.models
from dubl.errors import WeightsUnavailable
from dubl.media.bands import BANDS, SAMPLE_RATE_HZ, STEP_S
from dubl.models.cards import Arrays, read_weights
from dubl.sound.patches import WINDOW_S, cut, patches_at, prepared, prove
from dubl.types import Float32Array, SoundClip, SoundFeatures, SoundSpec

SHIPPED = Path(dubl.models.__path__[0]) / "weights" / "dubl-sound"
STEP_OF_WINDOWS_S = 0.5  # chosen: windows overlap by three quarters

_CONVOLUTIONS = ("first", "second", "third")  # 3 x 3, every second place, then no negative values
_BATCH = 128  # windows computed at once, bounds memory


class SoundDescriber:
    """Describes decoded sound (ports.SoundDescriber). Threads may share one."""

    def __init__(self, folder: Path = SHIPPED) -> None:
        """Reads the weights in `folder`. Raises WeightsUnavailable."""
        self._arrays, card = read_weights(folder)
        shapes = {name: self._arrays[name].shape for name in self._arrays}
        if shapes.keys() != names():
            raise WeightsUnavailable(f"{folder} holds no network for sound: {shapes}")
        self._spec = SoundSpec(
            model_id=f"{card.name}-{card.version}",
            weights_sha256=card.sha256,
            sample_rate_hz=SAMPLE_RATE_HZ,
            window_s=WINDOW_S,
            step_s=STEP_OF_WINDOWS_S,
            dims=shapes["out.weight"][0],
        )

    @property
    def spec(self) -> SoundSpec:
        return self._spec

    def describe(self, clip: SoundClip) -> SoundFeatures:
        """Descriptors of all windows that prove something."""
        if clip.bands.shape[1] != BANDS or clip.step_s != STEP_S:
            raise ValueError(f"bands must be {BANDS}, each {STEP_S} s")
        starts_s, rows = cut(clip.bands, STEP_OF_WINDOWS_S)
        times, found = [np.empty(0)], [np.empty((0, self._spec.dims), np.float16)]
        for first in range(0, len(rows), _BATCH):
            part = slice(first, first + _BATCH)
            patches = patches_at(clip.bands, rows[part])
            inputs = prepared(patches)
            keep = prove(patches, inputs)
            times.append(starts_s[part][keep])
            found.append(_network(self._arrays, inputs[keep]).astype(np.float16))
        return SoundFeatures(
            descriptors=np.concatenate(found),
            times_s=np.concatenate(times) + clip.start_s,
            duration_s=clip.start_s + len(clip.bands) * clip.step_s,
            spec=self._spec,
        )


def names() -> set[str]:
    """Names of the arrays of a network."""
    return {f"{layer}.{part}" for layer in (*_CONVOLUTIONS, "out") for part in ("weight", "bias")}


def _network(arrays: Arrays, inputs: Float32Array) -> Float32Array:
    """Unit vectors [M,D] of prepared windows [M,ROWS,B]."""
    values = inputs[..., None]
    for layer in _CONVOLUTIONS:
        values = _convolved(values, arrays[f"{layer}.weight"], arrays[f"{layer}.bias"])
    flat = values.transpose(0, 3, 1, 2).reshape(-1, arrays["out.weight"].shape[1])
    vectors = flat @ arrays["out.weight"].T + arrays["out.bias"]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def _convolved(values: Float32Array, weight: Float32Array, bias: Float32Array) -> Float32Array:
    """[M,H,W,C] with weights [O,C,3,3] and a border of zeros: [M,H/2,W/2,O], at least 0."""
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    windows = windows[:, ::2, ::2]
    flat = weight.reshape(len(weight), -1)
    columns = windows.reshape(*windows.shape[:3], flat.shape[1])  # in the order of the weights
    return np.asarray(np.maximum(columns @ flat.T + bias, 0))
