"""Test clips whose frames carry their own number.

A frame is a grid of 6 x 4 black or white blocks, row by row, most significant bit first: 16 bits
of number, then 8 bits of check (CRC-32 of the number, low byte). The blocks survive lossy coding
and scaling; a frame that is turned, mirrored or mixed with another fails the check.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from dubl.footage.video_file import Encoding, Image, Size, TimedFrame, write_video

COLUMNS = 6
ROWS = 4
_NUMBER_BITS = 16
_BITS = COLUMNS * ROWS
_MIN_CONTRAST = 24.0


def numbered_frame(number: int, *, size: Size = (192, 128)) -> Image:
    """Draws `number` (0-65535) as a picture of `size` (width, height): uint8 [H, W, 3]."""
    if not 0 <= number < 1 << _NUMBER_BITS:
        raise ValueError(f"a frame number has {_NUMBER_BITS} bits, {number} does not fit")
    word = _checked_word(number)
    bits = np.array([(word >> (_BITS - 1 - place)) & 1 for place in range(_BITS)], dtype=np.uint8)
    width, height = size
    rows = np.arange(height) * ROWS // height
    columns = np.arange(width) * COLUMNS // width
    blocks = bits.reshape(ROWS, COLUMNS)[rows][:, columns] * np.uint8(255)
    return np.repeat(blocks[:, :, None], 3, axis=2)


def read_frame_number(frame_rgb: Image) -> int:
    """Reads the number back from a picture [H, W, 3] of any size.

    Raises ValueError when the picture is no upright, whole numbered frame.
    """
    light = _block_light(frame_rgb)
    if light.max() - light.min() < _MIN_CONTRAST:
        raise ValueError("the picture has no black and white blocks")
    bits = light > (light.max() + light.min()) / 2
    word = int("".join("1" if bit else "0" for bit in bits.ravel()), 2)
    number = word >> (_BITS - _NUMBER_BITS)
    if _checked_word(number) != word:
        raise ValueError("the check bits do not fit the number; the picture is no numbered frame")
    return number


def write_numbered_clip(
    path: Path,
    *,
    frames: int,
    frame_rate: float | Fraction = 25,
    size: Size = (192, 128),
    encoding: Encoding | None = None,
    times_s: Sequence[float] | None = None,
    start_offset_s: float = 0.0,
    first_number: int = 0,
) -> tuple[float, ...]:
    """Writes frames first_number, first_number + 1, …; returns their times in seconds.

    The suffix of `path` chooses the container (.mp4, .mkv, .webm, .ts, .avi, .mov).
    size: (width, height) of the upright picture; with `encoding.rotation_deg` the stored
      picture is turned, and a player that applies the display matrix shows it upright.
    times_s: one time a frame, growing: a variable frame rate; without it i / frame_rate.
    start_offset_s: added to every time. (An MPEG-TS muxer adds its own offset to that.)
    """
    times = times_s if times_s is not None else [float(i / frame_rate) for i in range(frames)]
    if len(times) != frames:
        raise ValueError(f"{frames} frames, but {len(times)} times")
    encoding = encoding or Encoding()
    shown = tuple(time_s + start_offset_s for time_s in times)
    pictures = _stored_frames(shown, first_number, size, encoding.rotation_deg // 90)
    write_video(path, pictures, frame_rate=frame_rate, encoding=encoding)
    return shown


def write_audio_file(path: Path, *, duration_s: float, sample_rate: int = 16000) -> None:
    """Writes a file that holds a 440 Hz tone and no picture (AAC; FLAC in .flac)."""
    codec = "flac" if path.suffix == ".flac" else "aac"
    clock = np.arange(round(duration_s * sample_rate)) / sample_rate
    tone = (np.sin(2 * np.pi * 440 * clock) * 8000).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=sample_rate)
        stream.layout = "mono"
        sound = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        sound.sample_rate, sound.pts = sample_rate, 0
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))


def _checked_word(number: int) -> int:
    check_bits = _BITS - _NUMBER_BITS
    check = zlib.crc32(number.to_bytes(2, "big")) & ((1 << check_bits) - 1)
    return number << check_bits | check


def _block_light(frame_rgb: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Mean light of the middle half of every block, float64 [ROWS, COLUMNS]."""
    height, width = frame_rgb.shape[:2]
    gray = frame_rgb.mean(axis=2)
    light = np.empty((ROWS, COLUMNS))
    for row in range(ROWS):
        top, bottom = _middle_half(row, ROWS, height)
        for column in range(COLUMNS):
            left, right = _middle_half(column, COLUMNS, width)
            light[row, column] = gray[top:bottom, left:right].mean()
    return light


def _middle_half(place: int, places: int, length: int) -> tuple[int, int]:
    start = int((place + 0.25) * length / places)
    return start, max(start + 1, int((place + 0.75) * length / places))


def _stored_frames(
    times_s: Sequence[float], first_number: int, size: Size, quarter_turns: int
) -> Iterator[TimedFrame]:
    for place, time_s in enumerate(times_s):
        upright = numbered_frame(first_number + place, size=size)
        yield TimedFrame(time_s=time_s, image=np.rot90(upright, quarter_turns))
