"""Edits of clips that are held as arrays: frames uint8 [T, S, S, 3].

Frames are squares, as networks take them: an edited picture of another shape is squashed again.
Only edits that leave time alone fit (registry.PICTURE_EDITS).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dubl.footage.clips import Clip, recoded, scaled
from dubl.footage.edits.edit import Draw, Edit, EditedClip
from dubl.footage.edits.registry import applied_in_turn
from dubl.footage.video_file import Encoding

Frames = NDArray[np.uint8]
RATE_HZ = 2.0  # of the clips that networks are trained on
STRENGTHS = (0.1, 0.9)  # range from which the strength of an edit is drawn, of 0..1


def edited_frames(
    frames: Frames,
    guest: Frames,
    edits: Sequence[Edit],
    rng: np.random.Generator,
    *,
    strength: float,
) -> Frames:
    """The clip [T, S, S, 3] after `edits`; the clip `guest` lends foreign footage."""
    draw = Draw(strength=strength, rng=rng, donor=_clip(guest))
    return rendered(applied_in_turn(edits, _clip(frames), draw), frames.shape[1])


def rendered(edited: EditedClip, side: int) -> Frames:
    """The pictures [T, side, side, 3] of an edit, coded where it asks for that."""
    clip = edited.clip
    if edited.encoding != Encoding():
        clip = recoded(clip, edited.encoding)
    return np.stack([scaled(image, (side, side)) for image in clip.pictures()])


def _clip(frames: Frames) -> Clip:
    height, width = frames.shape[1:3]
    return Clip(
        size=(width, height),
        frame_rate=RATE_HZ,
        frames=len(frames),
        read=lambda start, stop: iter(frames[start:stop]),
    )
