"""Any bytes at a border end in an object or in an error of its own kind."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.borders import BORDERS, SEEDS

Border = Callable[[bytes, Path], None]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A seed with a part replaced."""
    seed = draw(st.sampled_from(SEEDS))
    start = draw(st.integers(0, len(seed)))
    end = draw(st.integers(start, len(seed)))
    return seed[:start] + draw(st.binary(max_size=20)) + seed[end:]


@pytest.mark.parametrize("border", BORDERS, ids=lambda border: border.__name__)
@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=damaged() | st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(border: Border, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        border(data, Path(folder))
