"""The clock of a file, and the times at which a player shows its pictures.

A recording that was joined from parts, or whose connection was lost, has a clock that starts anew
or jumps. Players show the parts one behind the other, so their times are laid end to end here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

# All in seconds.
BACK_S = 0.25  # decoding times ascend, so more is a new start; chosen above rounding and repairs
AHEAD_S = 10.0  # FFmpeg's -dts_delta_threshold, for formats whose clocks may jump
FAR_AHEAD_S = 3600.0  # for all others: a picture may stay on screen; chosen
JUMPING_FORMATS = ("mpeg", "mpegts")

Ticks = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Parts of a file, in the order of its packets.

    starts: number of each part's first packet. shifts: ticks by which the part's times are moved.
    """

    starts: tuple[int, ...] = (0,)
    shifts: tuple[int, ...] = (0,)

    @property
    def is_joined(self) -> bool:
        return len(self.starts) > 1

    def laid(self, packets: Iterator[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        """All packets of a stream, from the first one, with times as shown."""
        if not self.is_joined:
            yield from packets
            return
        part, number = 0, 0
        for packet in packets:
            if packet.size:
                while part + 1 < len(self.starts) and number >= self.starts[part + 1]:
                    part += 1
                number += 1
                packet.pts = None if packet.pts is None else packet.pts + self.shifts[part]
                packet.dts = None if packet.dts is None else packet.dts + self.shifts[part]
            yield packet

    def shifts_of(self, count: int) -> Ticks:
        """Ticks by which the times of the first `count` packets are moved."""
        sizes = np.diff([*self.starts, count])
        return np.repeat(np.array(self.shifts, np.int64), sizes)


def clock_of(
    decoding: Sequence[int | None],
    shown: Sequence[int],
    durations: Sequence[int],
    *,
    tick_s: float,
    container: str,
    fresh: Collection[int] = (),
) -> Clock:
    """The clock of a stream from the ticks of its packets.

    decoding: decoding times, None where a packet has none. shown: presentation times. durations: of
    each picture. `container`: FFmpeg's name of the format. fresh: numbers of packets that begin a
    file that was joined.
    """
    ahead_s = AHEAD_S if container in JUMPING_FORMATS else FAR_AHEAD_S
    starts = [0]
    last: int | None = None  # decoding time of the last packet that has one
    for number in range(1, len(shown)):
        # Decoding times are not asked for jumps ahead: FFmpeg guesses some of them.
        end = shown[number - 1] + durations[number - 1]
        ticks, last = decoding[number], _latest(decoding[number - 1], last)
        last = None if number in fresh else last
        is_back = ticks is not None and last is not None and (last - ticks) * tick_s > BACK_S
        if is_back or number in fresh or (shown[number] - end) * tick_s > ahead_s:
            starts.append(number)
    return _end_to_end(starts, np.array(shown, np.int64), np.array(durations, np.int64))


def _latest(ticks: int | None, before: int | None) -> int | None:
    return before if ticks is None else ticks


def _end_to_end(starts: Sequence[int], shown: Ticks, durations: Ticks) -> Clock:
    shifts = [0]
    for part, start in enumerate(starts[1:], 1):
        before = slice(starts[part - 1], start)
        here = slice(start, starts[part + 1] if part + 1 < len(starts) else None)
        end = int((shown[before] + durations[before]).max()) + shifts[-1]
        shifts.append(end - int(shown[here].min()))
    return Clock(starts=tuple(starts), shifts=tuple(shifts))
