"""Where a network runs. Asking torch costs a process 2 CPU seconds and 400 MB: it is asked only
where a driver speaks for a GPU."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

DeviceChoice = Literal["auto", "cpu", "cuda"]

logger = logging.getLogger(__name__)

# Linux, and Windows Subsystem for Linux.
_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


def wants_gpu(choice: DeviceChoice) -> bool:
    """Whether a GPU is to be used and one works; says so when one was expected and is not there."""
    if choice == "cpu":
        return False
    if any(driver.exists() for driver in _DRIVERS) and _torch_has_gpu():
        return True
    level = logging.WARNING if choice == "cuda" else logging.INFO
    logger.log(level, "no usable GPU: the network runs on the CPU")
    return False


def _torch_has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
