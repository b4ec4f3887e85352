"""Reads weights that torch.save wrote, without torch: importing it costs a process 2 CPU seconds
and 400 MB, which one that only runs a network on a CPU need not spend."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dubl.errors import WeightsUnavailable
from dubl.types import Float32Array

State = Mapping[str, Float32Array]

_TYPES = {
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "DoubleStorage": np.dtype("<f8"),
    "LongStorage": np.dtype("<i8"),
}


class _Storage(NamedTuple):
    dtype: np.dtype[np.generic]
    content: bytes


def read_arrays(content: bytes, *, name: str) -> State:
    """Arrays, float32, by name in the bytes of a torch file; `name` is for messages.

    Runs no code of the file. Raises WeightsUnavailable when it holds anything but tensors.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            loaded = _Reader(archive).load()
    except (zipfile.BadZipFile, pickle.UnpicklingError, KeyError, ValueError, EOFError) as exc:
        raise WeightsUnavailable(f"{name} does not hold weights: {exc}") from exc
    if not isinstance(loaded, dict) or not loaded:
        raise WeightsUnavailable(f"{name} does not hold a state dict")
    if not all(isinstance(value, np.ndarray) for value in loaded.values()):
        raise WeightsUnavailable(f"{name} holds other objects than tensors")
    return {str(key): value.astype(np.float32) for key, value in loaded.items()}


class _Reader(pickle.Unpickler):
    """Knows dictionaries and tensors, and refuses every other name."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        (description,) = (one for one in archive.namelist() if one.endswith("/data.pkl"))
        self._archive, self._folder = archive, description.removesuffix("data.pkl")
        super().__init__(io.BytesIO(archive.read(description)))

    def find_class(self, module_name: str, global_name: str, /) -> object:
        if (module_name, global_name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module_name, global_name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _array
        if module_name == "torch" and global_name in _TYPES:
            return _TYPES[global_name]
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is no part of weights")

    def persistent_load(self, pid: object) -> _Storage:
        match pid:
            case ("storage", np.dtype() as dtype, str() as key, _, _):
                return _Storage(dtype, self._archive.read(f"{self._folder}data/{key}"))
        raise pickle.UnpicklingError("a reference to something else than a tensor's storage")


def _array(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> NDArray[np.generic]:
    """A tensor as torch describes it: `offset` and `strides` count elements."""
    values = np.frombuffer(storage.content, storage.dtype)[offset:]
    reached = sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    if min(shape, default=1) > 0 and not 0 <= reached < len(values):
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    size = storage.dtype.itemsize
    return np.lib.stride_tricks.as_strided(values, shape, [stride * size for stride in strides])
