"""Checkpoints of training runs, and the schedule of the learning rate."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from dubl.errors import ConfigurationError

# What a file raises that is cut off, damaged, or of another run.
CHECKPOINT_ERRORS = (
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    pickle.UnpicklingError,
)


def write_checkpoint(path: Path, state: Mapping[str, object]) -> None:
    """Writes the file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(dict(state), partial)
    partial.replace(path)


@contextmanager
def checkpoint_errors(path: Path) -> Iterator[None]:
    """Around reading a checkpoint: raises ConfigurationError when it does not fit this run."""
    try:
        yield
    except CHECKPOINT_ERRORS as exc:
        raise ConfigurationError(f"{path} is no checkpoint of this run") from exc


def share_of_peak(step: int, *, warmup_steps: int, progress: float, floor: float) -> float:
    """Share of the peak rate: linear warm-up times a cosine over `progress` in [0,1], from 1 down
    to `floor`."""
    cosine = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))
    return min(step / warmup_steps, 1.0) * cosine
