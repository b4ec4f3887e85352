"""Clips with sound, made in code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # [N], one channel, full scale is 1

PICTURES_HZ = 10
_BLOCK = 1024  # samples of one frame; a track of PCM takes it as it is


@dataclass(frozen=True, kw_only=True)
class Track:
    """A sound track. late_s: its first sample is shown after the first picture.

    gap: its last sample before a pause and the seconds of that pause.
    """

    samples: Samples
    rate_hz: int = 44100
    codec: str = "aac"
    layout: str = "mono"
    late_s: float = 0.0
    gap: tuple[int, float] | None = None
    default: bool = False


def melody(seconds: float, *, seed: int, rate_hz: int = 44100) -> Samples:
    """Notes and noises of changing pitch and length; another `seed` is another melody."""
    rng = np.random.default_rng(seed)
    whole = np.zeros(int(seconds * rate_hz))
    at = 0
    while at < len(whole):
        count = int(rng.uniform(0.1, 0.4) * rate_hz)
        time_s = np.arange(count) / rate_hz
        hertz = 220 * 2 ** (rng.integers(0, 30) / 12)
        note = sum(np.sin(2 * np.pi * hertz * k * time_s) / k for k in range(1, 6))
        note += rng.standard_normal(count) * rng.choice([0.0, 0.5])
        whole[at : at + count] += (note * np.exp(-time_s * rng.uniform(2, 9)))[: len(whole) - at]
        at += int(count * rng.uniform(0.5, 1.0))
    loudest = float(np.abs(whole).max())
    return (0.6 * whole / loudest).astype(np.float32)


def write_clip(
    path: Path, tracks: Sequence[Track], *, seconds: float = 4.0, start_s: float = 0.0
) -> Path:
    """A clip with changing pictures and these tracks. start_s: time of its first picture."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=PICTURES_HZ)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = []
        for track in tracks:
            stream = container.add_stream(track.codec, rate=track.rate_hz, layout=track.layout)
            stream.bit_rate = 128_000
            if track.default:
                stream.disposition = av.stream.Disposition.default
            audio.append(stream)
        for number in range(int(seconds * PICTURES_HZ)):
            image = np.full((48, 64, 3), (number * 9 % 255, 80, 255 - number % 200), np.uint8)
            image[number % 40 :, :, 1] = 200
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.time_base = Fraction(1, PICTURES_HZ)
            frame.pts = number + round(start_s * PICTURES_HZ)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for track, stream in zip(tracks, audio, strict=True):
            write_track(container, stream, track, start_s)
    return path


def write_track(
    container: av.container.OutputContainer,
    stream: av.audio.stream.AudioStream,
    track: Track,
    start_s: float = 0.0,
) -> None:
    """Writes a track to its stream. start_s: time of the first picture."""
    block = stream.codec_context.frame_size or _BLOCK
    channels = stream.codec_context.channels
    form = stream.codec_context.format
    for first in range(0, len(track.samples), block):
        part = np.repeat(track.samples[first : first + block], channels)[None]
        pause_s = track.gap[1] if track.gap is not None and first >= track.gap[0] else 0.0
        frame = av.AudioFrame.from_ndarray(part, format="flt", layout=track.layout)
        frame.sample_rate = track.rate_hz
        frame.time_base = Fraction(1, track.rate_hz)
        frame.pts = first + round((track.late_s + pause_s + start_s) * track.rate_hz)
        for fit in _in_format(frame, form.name, track):
            container.mux(stream.encode(fit))
    container.mux(stream.encode(None))


def _in_format(frame: av.AudioFrame, form: str, track: Track) -> list[av.AudioFrame]:
    if form == "flt":
        return [frame]
    pts = frame.pts
    found = av.AudioResampler(format=form, layout=track.layout, rate=track.rate_hz).resample(frame)
    for one in found:
        one.pts = pts
    return found
