"""Skipping of packets that need not be decoded.

A group of pictures begins with a key frame and can be decoded alone. If the next wanted picture
lies in a later group, packets up to that group's key frame are dropped.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from dubl.types import Float64Array

_CLOCK_S = 1e-3  # seconds; times are rounded to milliseconds in Matroska


class Step(Enum):
    """The action for a packet."""

    DECODE = "decode"
    DROP = "drop"
    RESTART = "flush the decoder, then decode"


class GroupSkipper:
    """Chooses the action for each packet, in the order of the file.

    wanted_s float64 [N]: times of the wanted pictures. key_times_s float64 [K]: ascending times of
    key frames; if empty, nothing is dropped.
    """

    def __init__(self, wanted_s: Float64Array, key_times_s: Float64Array) -> None:
        self._needed_s = np.zeros(0)
        if len(key_times_s):
            places = np.searchsorted(key_times_s, wanted_s + _CLOCK_S, side="right") - 1
            self._needed_s = key_times_s[np.maximum(places, 0)]
        self._latest_key_s = -np.inf
        self._dropping = False

    def step(self, row: int, *, time_s: float, is_key: bool) -> Step:
        """The action for a packet; `row` is the next wanted picture."""
        if row >= len(self._needed_s):
            return Step.DECODE
        needed_s = self._needed_s[row] - _CLOCK_S
        if self._latest_key_s == -np.inf:  # the first group is always read from its start
            self._latest_key_s = time_s
            return Step.DECODE
        self._dropping = self._dropping or self._latest_key_s < needed_s
        if not is_key:
            return Step.DROP if self._dropping else Step.DECODE
        if self._dropping and time_s < needed_s:
            return Step.DROP
        self._latest_key_s = max(self._latest_key_s, time_s)
        restart, self._dropping = self._dropping, False
        return Step.RESTART if restart else Step.DECODE
