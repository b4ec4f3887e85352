"""Chooses the device for a network.

Importing torch costs 2 CPU seconds and 400 MB. It is only asked for a GPU if a driver is installed.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

DeviceChoice = Literal["auto", "cpu", "cuda"]

logger = logging.getLogger(__name__)

# Linux, and Windows Subsystem for Linux.
_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


def wants_gpu(choice: DeviceChoice) -> bool:
    """Whether to use a GPU. Logs a warning if "cuda" was chosen and no GPU works."""
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
