"""Reads the constant tensors of a TFLite file, dequantized, with numpy alone.

Follows the FlatBuffers wire format (a table is a position with a signed offset to its vtable) and
the field order of TFLite's schema. Only what a chain of convolutions needs is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubl.errors import WeightsUnavailable

# TFLite's operator codes and tensor types.
CONV_2D, DEPTHWISE_CONV_2D = 3, 4
_TYPES = {0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 9: np.int8}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolutionWeights:
    """One convolution: weight [out, in, kh, kw] (depthwise: [channels, 1, kh, kw]), bias [out]."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Table:
    buffer: bytes
    position: int

    def _slot(self, field: int) -> int:
        """Absolute position of a field's inline value, 0 where it is absent."""
        vtable = self.position - int(struct.unpack_from("<i", self.buffer, self.position)[0])
        size = struct.unpack_from("<H", self.buffer, vtable)[0]
        entry = 4 + 2 * field
        if entry >= size:
            return 0
        offset = int(struct.unpack_from("<H", self.buffer, vtable + entry)[0])
        return self.position + offset if offset else 0

    def _follow(self, position: int) -> int:
        return position + int(struct.unpack_from("<I", self.buffer, position)[0])

    def scalar(self, field: int, code: str) -> int:
        slot = self._slot(field)
        return int(struct.unpack_from("<" + code, self.buffer, slot)[0]) if slot else 0

    def table(self, field: int) -> _Table | None:
        slot = self._slot(field)
        return _Table(self.buffer, self._follow(slot)) if slot else None

    def tables(self, field: int) -> list[_Table]:
        slot = self._slot(field)
        if not slot:
            return []
        start = self._follow(slot)
        count = struct.unpack_from("<I", self.buffer, start)[0]
        entries = (start + 4 + 4 * index for index in range(count))
        return [_Table(self.buffer, self._follow(entry)) for entry in entries]

    def bytes_of(self, field: int, width: int) -> bytes:
        slot = self._slot(field)
        if not slot:
            return b""
        start = self._follow(slot)
        count = struct.unpack_from("<I", self.buffer, start)[0]
        return self.buffer[start + 4 : start + 4 + count * width]


def read_convolutions(path: Path) -> list[ConvolutionWeights]:
    """All convolutions of the first subgraph, in the order in which they run.

    Raises WeightsUnavailable when the file is absent or is no TFLite model.
    """
    try:
        buffer = path.read_bytes()
        return list(_convolutions(buffer))
    except (OSError, struct.error, IndexError, KeyError, ValueError) as exc:
        raise WeightsUnavailable(f"{path} is not a readable TFLite model") from exc


def _convolutions(buffer: bytes) -> Iterator[ConvolutionWeights]:
    model = _Table(buffer, struct.unpack_from("<I", buffer, 0)[0])
    codes = [max(code.scalar(0, "b"), code.scalar(3, "i")) for code in model.tables(1)]
    graph, buffers = model.tables(2)[0], model.tables(4)
    tensors = graph.tables(0)
    for operator in graph.tables(3):
        code = codes[operator.scalar(0, "I")]
        if code not in (CONV_2D, DEPTHWISE_CONV_2D):
            continue
        inputs = np.frombuffer(operator.bytes_of(1, 4), np.int32)
        weight, bias = (_dequantize(tensors[index], buffers) for index in inputs[1:3])
        # TFLite keeps [out, kh, kw, in], and [1, kh, kw, channels] for depthwise ones.
        order = (0, 3, 1, 2) if code == CONV_2D else (3, 0, 1, 2)
        yield ConvolutionWeights(weight=np.ascontiguousarray(weight.transpose(order)), bias=bias)


def _dequantize(tensor: _Table, buffers: list[_Table]) -> NDArray[np.float32]:
    """Real value = scale * (stored value - zero point), for one scale per tensor."""
    shape = tuple(np.frombuffer(tensor.bytes_of(0, 4), np.int32))
    raw = buffers[tensor.scalar(2, "I")].bytes_of(0, 1)
    values = np.frombuffer(raw, _TYPES[tensor.scalar(1, "b")]).reshape(shape).astype(np.float32)
    quantization = tensor.table(4)
    if quantization is None:
        return values
    scales = np.frombuffer(quantization.bytes_of(2, 4), np.float32)
    zeros = np.frombuffer(quantization.bytes_of(3, 8), np.int64)
    if scales.size == 0:
        return values
    if scales.size > 1:
        raise ValueError("scales per channel are not supported")
    zero = float(zeros[0]) if zeros.size else 0.0
    return np.asarray((values - zero) * scales[0], dtype=np.float32)
