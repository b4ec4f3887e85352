"""Files of sound alone, such as songs: read like a video that shows nothing."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.audio.stream import AudioStream

from dubl.errors import NoVideoStream
from dubl.media.clock import Clock
from dubl.media.containers import open_container
from dubl.media.deadline import Deadline
from dubl.media.listening import Listener
from dubl.media.probe import check_length, check_not_short
from dubl.settings import MediaSettings
from dubl.types import FrameClip, Note, VideoFacts

_MARGIN_S = 1.0  # heard beyond the longest allowed duration, to see that it is exceeded; chosen


def read_sound(
    path: str, *, frame_size: int, settings: MediaSettings, deadline: Deadline
) -> FrameClip:
    """A clip without frames [0,S,S,3], with the sound of the file from its beginning.

    Raises SourceNotFound, EmptyFile, NotAVideo, TruncatedVideo; NoVideoStream if no sound can be
    decoded either; VideoTooShort, VideoTooLong, DecodeTimeout.
    """
    with open_container(path) as container:
        listener = Listener.of(container)
        if listener is None:
            raise NoVideoStream("the file has neither pictures nor sound that can be decoded")
        stream, damaged = listener.stream, False
        try:
            for packet in container.demux(stream):
                deadline.check()
                listener.hear(packet, 0)
        except av.error.FFmpegError:
            damaged = True
        sound = listener.clip(
            Clock(),
            tick_s=1.0,
            origin_s=_start_s(stream),
            max_s=settings.max_duration_s + _MARGIN_S,
        )
        if sound is None:
            raise NoVideoStream("the file has no pictures, and no sound could be decoded")
        duration_s = sound.start_s + len(sound.bands) * sound.step_s
        check_length(duration_s, settings)
        check_not_short(duration_s, settings)
        return FrameClip(
            frames=np.empty((0, frame_size, frame_size, 3), np.uint8),
            timestamps_s=np.empty(0),
            views=np.empty(0, np.uint8),
            facts=VideoFacts(
                duration_s=duration_s,
                width=0,
                height=0,
                codec=stream.codec_context.codec.canonical_name,
                container=container.format.name,
                backend="pyav",
                damaged=damaged,
                notes=(Note.SOUND_ALONE,),
            ),
            sound=sound,
        )


def _start_s(stream: AudioStream) -> float:
    return float((stream.start_time or 0) * (stream.time_base or Fraction(1, av.time_base)))
