"""Small pictures of a clip, in the shape that the video has on a screen."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from dubl.types import WHOLE_FRAME, FrameClip, Uint8Array, VideoFacts

MAX_PICTURES = 1200
QUALITY = 82


def thumbnails(clip: FrameClip) -> tuple[tuple[float, ...], list[bytes]]:
    """Times and JPEGs of whole frames, evenly thinned where there are more than MAX_PICTURES."""
    rows = np.flatnonzero(clip.views == WHOLE_FRAME)
    rows = rows[:: max(1, -(-len(rows) // MAX_PICTURES))]
    times_s = tuple(round(float(time_s), 4) for time_s in clip.timestamps_s[rows])
    return times_s, [_jpeg(clip.frames[row], clip.facts) for row in rows]


def _jpeg(frame: Uint8Array, facts: VideoFacts) -> bytes:
    picture = Image.fromarray(frame).resize(facts.size_within(frame.shape[0]))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
