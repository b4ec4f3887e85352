"""Blank pictures: those of one color, which tell nothing about a video.

A flash or a strobe may keep the rhythm of the sampling. So a later picture stands in for a blank
one (PyAvReader), and short runs of blank rows are left out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dubl.media.readers import Reading
from dubl.types import Uint8Array

BLANK = 4.0  # gray levels, standard deviation in one picture; less is a codec's noise; chosen
MAX_GAP_S = 2.5  # seconds; longer runs may be a pause between two videos; chosen
_SAMPLE_STEP = 4  # pixels between those that are examined; chosen, saves time


def is_blank(picture: Uint8Array) -> bool:
    """Whether a picture [h,w,3] has one color."""
    sample = picture[::_SAMPLE_STEP, ::_SAMPLE_STEP]
    return bool(sample.std(axis=(0, 1)).max() < BLANK)


def without_short_blanks(reading: Reading) -> Reading:
    """All rows but the blank ones between two others that are at most MAX_GAP_S apart.

    Moves rows within `reading.frames`: a copy could take as much memory again.
    """
    times_s = reading.timestamps_s
    blank = np.array([is_blank(frame) for frame in reading.frames], dtype=bool)
    before_s = np.maximum.accumulate(np.where(blank, -np.inf, times_s))
    after_s = np.minimum.accumulate(np.where(blank, np.inf, times_s)[::-1])[::-1]
    kept = np.flatnonzero(~blank | (after_s - before_s > MAX_GAP_S))
    if len(kept) == len(blank):
        return reading
    for place, row in enumerate(kept):
        reading.frames[place] = reading.frames[row]
    return replace(reading, frames=reading.frames[: len(kept)], timestamps_s=times_s[kept])
