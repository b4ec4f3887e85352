"""Messages between a decoding process and its owner: a length, a JSON header, raw bytes.

The process reads untrusted files. So its messages are never unpickled, and announced sizes are
checked before memory is allocated.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict
from typing import BinaryIO, Literal

import numpy as np
from pydantic import TypeAdapter

from dubl.errors import (
    ContextValue,
    DecoderCrashed,
    DecodeTimeout,
    DublError,
    ExtraMissing,
    MediaError,
    SourceError,
    error_class,
)
from dubl.media.bands import BANDS
from dubl.types import FrameClip, Sampling, SoundClip, VideoFacts, VideoSource

Header = dict[str, object]

VIDEO_FACTS = TypeAdapter(VideoFacts)
TIMINGS = TypeAdapter(dict[str, float])
SOUND = TypeAdapter(dict[Literal["rows", "bands", "step_s", "start_s"], float])
LENGTH = struct.Struct("!I")
MAX_HEADER_BYTES = 1 << 20  # chosen, bounds memory
MAX_DETAIL = 400  # characters of an error, chosen


def pack(header: Mapping[str, object]) -> bytes:
    """A header, preceded by its length."""
    body = json.dumps(header).encode()
    return LENGTH.pack(len(body)) + body


def unpack(body: bytes) -> Header:
    """The header in `body`. Raises ValueError if that is not a JSON object."""
    try:
        header = json.loads(body)
    except RecursionError as exc:
        raise ValueError("a header is nested too deeply") from exc
    if not isinstance(header, dict):
        raise ValueError("a header must be an object")
    return header


def receive(stream: BinaryIO) -> Header | None:
    """The next header of a blocking stream; None at its end."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    return unpack(stream.read(LENGTH.unpack(head)[0]))


def request(source: VideoSource, sampling: Sampling, *, in_parts: bool = False) -> Header:
    return {"source": asdict(source), "sampling": asdict(sampling), "in_parts": in_parts}


def parse_request(header: Header) -> tuple[VideoSource, Sampling, bool]:
    """The video, its sampling, and whether parts are asked for."""
    source, sampling = header["source"], header["sampling"]
    if not isinstance(source, dict) or not isinstance(sampling, dict):
        raise ValueError("a request must have a source and a sampling")
    return VideoSource(**source), Sampling(**sampling), bool(header["in_parts"])


def send_clip(stream: BinaryIO, clip: FrameClip) -> None:
    """Header, then timestamps, views, frames and bands of sound as they lie in memory."""
    header = {
        "rows": len(clip.frames),
        "facts": asdict(clip.facts),
        "timings_ms": dict(clip.timings_ms),
        "sound": None if clip.sound is None else _sound_header(clip.sound),
    }
    stream.write(pack(header))
    for part in buffers(clip):
        stream.write(part)
    stream.flush()


def buffers(clip: FrameClip) -> tuple[memoryview, ...]:
    """The bytes of the clip's arrays, in the order of transmission, for reading or writing."""
    bands = () if clip.sound is None else (clip.sound.bands,)
    arrays = (clip.timestamps_s, clip.views, clip.frames, *bands)
    return tuple(array.reshape(-1).view(np.uint8).data for array in arrays)


def send_end(stream: BinaryIO) -> None:
    """After the last clip of an answer."""
    stream.write(pack({"end": True}))
    stream.flush()


def _sound_header(sound: SoundClip) -> Header:
    rows, bands = sound.bands.shape
    return {"rows": rows, "bands": bands, "step_s": sound.step_s, "start_s": sound.start_s}


def _empty_sound(header: object, *, max_rows: int) -> SoundClip | None:
    """Raises ValueError if the announced sound is not one that was requested."""
    if header is None:
        return None
    announced = SOUND.validate_python(header)
    rows, bands = announced["rows"], announced["bands"]
    if not (0 < rows <= max_rows and bands == BANDS):
        raise ValueError(f"the answer announces {rows} rows of sound with {bands} bands")
    return SoundClip(
        bands=np.empty((int(rows), BANDS), dtype=np.uint8),
        step_s=announced["step_s"],
        start_s=announced["start_s"],
    )


def send_error(stream: BinaryIO, error: DublError) -> None:
    header = {"error": error.code, "detail": error.detail, "context": error.context}
    stream.write(pack(header))
    stream.flush()


def empty_clip(
    header: Header,
    *,
    frame_size: int,
    max_rows: int,
    max_sound_rows: int = 0,
    in_parts: bool = False,
) -> FrameClip:
    """The clip that a header announces, with arrays still to be filled.

    Raises ValueError if the header is invalid, and the DublError that a header carries.
    """
    if "error" in header:
        raise _error(header)
    rows, facts, timings = header.get("rows"), header.get("facts"), header.get("timings_ms")
    if not isinstance(facts, dict) or not isinstance(timings, dict):
        raise ValueError("the answer has no facts")
    least = 0 if in_parts or header.get("sound") is not None else 1
    if not isinstance(rows, int) or not least <= rows <= max_rows:
        raise ValueError(f"the answer announces {rows} rows; at most {max_rows} were requested")
    return FrameClip(
        frames=np.empty((rows, frame_size, frame_size, 3), dtype=np.uint8),
        timestamps_s=np.empty(rows, dtype=np.float64),
        views=np.empty(rows, dtype=np.uint8),
        facts=VIDEO_FACTS.validate_python(facts),
        timings_ms=TIMINGS.validate_python(timings),
        sound=_empty_sound(header.get("sound"), max_rows=max_sound_rows),
    )


def _error(header: Header) -> DublError:
    """Of what a decoder may say about a file: its sender may be in the hands of one."""
    kind = error_class(str(header["error"]), otherwise=DecoderCrashed)
    if not issubclass(kind, MediaError | SourceError | DecodeTimeout | ExtraMissing):
        kind = DecoderCrashed
    context = header.get("context")
    told = context.items() if isinstance(context, dict) else ()
    plain: dict[str, ContextValue] = {
        str(name): value for name, value in told if isinstance(value, str | int | float | None)
    }
    return kind(str(header.get("detail"))[:MAX_DETAIL], context=plain)
