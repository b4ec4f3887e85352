"""Weights read without torch are those that torch wrote, and nothing else is read."""

from __future__ import annotations

import io
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

from dubl.errors import WeightsUnavailable
from dubl.models.state_file import read_arrays


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_tensors_come_back_as_arrays() -> None:
    whole = torch.arange(24.0).reshape(2, 3, 4)
    state = {
        "half": whole.half(),
        "turned": whole.permute(2, 0, 1),
        "part": whole[1, 1:],
        "count": torch.tensor(7),
        "parameter": torch.nn.Parameter(whole).detach(),
    }
    arrays = read_arrays(saved(OrderedDict(state)), name="weights")
    assert list(arrays) == list(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(arrays[name], tensor.float().numpy())
        assert arrays[name].dtype == np.float32


@pytest.mark.parametrize("content", [b"", b"no archive", saved([1]), saved({}), saved({"a": 1})])
def test_what_holds_no_weights_is_refused(content: bytes) -> None:
    with pytest.raises(WeightsUnavailable):
        read_arrays(content, name="weights")


class Malicious:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("code of the file was run",))


def test_code_in_a_file_is_not_run() -> None:
    with pytest.raises(WeightsUnavailable, match="no part of weights"):
        read_arrays(saved({"a": Malicious()}), name="weights")


def test_a_tensor_beyond_its_storage_is_refused() -> None:
    changed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved({"a": torch.zeros(4)}))) as archive,
        zipfile.ZipFile(changed, "w") as copy,
    ):
        for name in archive.namelist():
            # The shape (4,) becomes (127,).
            copy.writestr(name, archive.read(name).replace(b"K\x04\x85", b"K\x7f\x85"))
    with pytest.raises(WeightsUnavailable, match="beyond its storage"):
        read_arrays(changed.getvalue(), name="weights")
