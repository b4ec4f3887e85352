"""Edits of sound by FFmpeg's filters and codecs, and sounds to try them on."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph
from numpy.typing import NDArray

from dubl.footage.sounds import RATE_HZ, babble, music, scene

Samples = NDArray[np.float32]  # [N], one channel at RATE_HZ, full scale is 1

_BLOCK = 1024
_VOICES = (
    *("en-us", "en-gb", "de", "fr-fr", "es", "it", "pt", "ru", "cmn", "ja", "ko", "ar", "hi"),
    *("tr", "pl", "nl", "sv", "fi", "el", "hu", "en-us-nyc"),
)
_SYLLABLES = (
    *("ba", "ka", "do", "ti", "mu", "se", "ra", "lo", "ni", "fe", "gu", "pa", "zo", "wi"),
    *("sho", "che", "ju", "vo", "han", "ler", "mon", "tis", "car", "den", "pol", "ing"),
    *("ter", "con", "ver", "sal"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """An edit of a sound: filters ("name=arguments", in order), then a codec, then added sound.

    speed: seconds of the original that pass in one of the edit. noise_db, talk_db: level of noise
    or of other speech below the sound.
    """

    filters: tuple[str, ...] = ()
    codec: str = ""
    bit_rate: int = 24_000
    speed: float = 1.0
    noise_db: float | None = None
    talk_db: float | None = None


def _resampled(factor: float) -> tuple[str, ...]:
    return (f"asetrate={round(RATE_HZ * factor)}", f"aresample={RATE_HZ}")


def _pitched(semitones: int) -> tuple[str, ...]:
    factor = 2 ** (semitones / 12)
    return (*_resampled(factor), f"atempo={1 / factor:.6f}")


EDITS: Mapping[str, Edit] = {
    "none": Edit(),
    "AAC 24 kbit/s": Edit(codec="aac"),
    "Opus 24 kbit/s": Edit(codec="libopus"),
    "MP3 24 kbit/s": Edit(codec="libmp3lame"),
    "telephone": Edit(filters=("highpass=f=300:p=2", "lowpass=f=3000:p=2"), codec="pcm_mulaw"),
    "bass and treble": Edit(
        filters=("equalizer=f=300:t=o:w=1:g=12", "equalizer=f=2500:t=o:w=1:g=-12")
    ),
    "20 dB softer": Edit(filters=("volume=-20dB",)),
    "clipped": Edit(filters=("volume=18dB", "asoftclip=type=hard")),
    "compressed": Edit(filters=("acompressor=threshold=0.05:ratio=8:attack=5:release=80",)),
    "room": Edit(filters=("aecho=0.8:0.7:37|61|97|151|211:0.5|0.45|0.4|0.3|0.25",)),
    "noise 10 dB": Edit(noise_db=10),
    "noise 5 dB": Edit(noise_db=5),
    "talk 5 dB": Edit(talk_db=5),
    "talk 0 dB": Edit(talk_db=0),
    "tempo 0.8": Edit(filters=("atempo=0.8",), speed=0.8),
    "tempo 0.9": Edit(filters=("atempo=0.9",), speed=0.9),
    "tempo 1.1": Edit(filters=("atempo=1.1",), speed=1.1),
    "tempo 1.25": Edit(filters=("atempo=1.25",), speed=1.25),
    "speed 0.8": Edit(filters=_resampled(0.8), speed=0.8),
    "speed 1.25": Edit(filters=_resampled(1.25), speed=1.25),
    "pitch +2": Edit(filters=_pitched(2)),
    "pitch -2": Edit(filters=_pitched(-2)),
}


def edited(sound: Samples, edit: Edit, rng: np.random.Generator) -> Samples:
    """The sound after the edit; its length is that of the sound over the speed."""
    whole = _coded(_filtered(sound, edit.filters), edit)
    if edit.noise_db is not None:
        whole = _mixed(whole, pink(len(whole), rng), edit.noise_db)
    if edit.talk_db is not None:
        whole = _mixed(whole, talk(len(whole) / RATE_HZ, rng)[: len(whole)], edit.talk_db)
    return whole


def _mixed(sound: Samples, other: Samples, below_db: float) -> Samples:
    other = np.resize(other, len(sound))
    power, theirs = float((sound**2).mean()), float((other**2).mean())
    gain = (power / max(theirs, 1e-12)) ** 0.5 * 10 ** (-below_db / 20)
    return (sound + np.float32(gain) * other).astype(np.float32)


def pink(count: int, rng: np.random.Generator) -> Samples:
    """Noise whose power falls with the frequency, as that of a street."""
    hertz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    spectrum = np.fft.rfft(rng.standard_normal(count)) / np.sqrt(hertz + 50)
    return np.fft.irfft(spectrum, count).astype(np.float32)


def can_talk() -> bool:
    return shutil.which("espeak-ng") is not None


def talk(seconds: float, rng: np.random.Generator) -> Samples:
    """Speech of a voice and of made-up words; babble where espeak-ng is not installed."""
    if not can_talk():
        return babble(rng, seconds).astype(np.float32)
    voice = f"{rng.choice(_VOICES)}+{rng.choice(['m1', 'm3', 'm5', 'm7', 'f1', 'f2', 'f4', 'f5'])}"
    words = " ".join(
        "".join(rng.choice(_SYLLABLES, rng.integers(1, 4))) for _ in range(int(seconds * 5) + 5)
    )
    pace, pitch = str(rng.integers(120, 210)), str(rng.integers(10, 90))
    command = ["espeak-ng", "-v", voice, "-s", pace, "-p", pitch, "--stdout", words]
    wav = subprocess.run(command, capture_output=True, check=True).stdout[44:]
    spoken = np.frombuffer(wav[: len(wav) // 2 * 2], np.int16).astype(np.float32) / 2**15
    return np.resize(_at_rate(spoken, 22050), int(seconds * RATE_HZ))


def made(seed: int, seconds: float) -> Samples:
    """Half of the seeds give music, a quarter speech, a quarter noisy scenes."""
    rng = np.random.default_rng([seed, 7])
    kind = seed % 4
    if kind == 2:
        return talk(seconds, rng)
    return (scene if kind == 3 else music)(rng, seconds).astype(np.float32)


def read(path: Path) -> Samples:
    """The sound of a file; empty if it has none."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return np.empty(0, np.float32)
        parts = [one for frame in container.decode(audio=0) for one in resampler.resample(frame)]
    return _joined([*parts, *resampler.resample(None)])


def _at_rate(samples: NDArray[np.floating], rate_hz: int) -> Samples:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
    parts = [part for one in _frames(samples, rate_hz) for part in resampler.resample(one)]
    return _joined([*parts, *resampler.resample(None)])


def _frames(
    samples: NDArray[np.floating], rate_hz: int = RATE_HZ, block: int = _BLOCK
) -> Iterator[AudioFrame]:
    for first in range(0, len(samples), block):
        part = np.ascontiguousarray(samples[None, first : first + block], np.float32)
        frame = AudioFrame.from_ndarray(part, format="flt", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, rate_hz), first
        yield frame


def _joined(frames: Sequence[AudioFrame]) -> Samples:
    return np.concatenate([one.to_ndarray()[0] for one in frames]).astype(np.float32)


def _filtered(sound: Samples, filters: tuple[str, ...]) -> Samples:
    if not filters:
        return sound
    graph = Graph()
    nodes = [
        graph.add_abuffer(
            format="flt", sample_rate=RATE_HZ, layout="mono", time_base=Fraction(1, RATE_HZ)
        )
    ]
    nodes += [graph.add(*text.split("=", 1)) for text in filters]
    nodes += [graph.add("aformat", f"sample_fmts=flt:sample_rates={RATE_HZ}:channel_layouts=mono")]
    nodes += [graph.add("abuffersink")]
    graph.link_nodes(*nodes).configure()
    found: list[AudioFrame] = []
    for frame in (*_frames(sound), None):
        nodes[0].push(frame)
        while True:
            try:
                found.append(cast(AudioFrame, nodes[-1].pull()))
            except (av.error.BlockingIOError, av.error.EOFError):
                break
    return _joined(found)


def _coded(sound: Samples, edit: Edit) -> Samples:
    """The sound through an encoder and its decoder, in a NUT file in memory."""
    if not edit.codec:
        return sound
    rate_hz = {"aac": 16000, "libmp3lame": 16000, "libopus": 16000}.get(edit.codec, RATE_HZ)
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as container:
        stream = container.add_stream(edit.codec, rate=rate_hz, layout="mono")
        stream.bit_rate = edit.bit_rate
        form = stream.codec_context.format.name
        resampler = av.AudioResampler(
            format=form, layout="mono", rate=rate_hz, frame_size=stream.codec_context.frame_size
        )
        for frame in (*_frames(sound), None):
            for part in resampler.resample(frame):
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    file.seek(0)
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
    with av.open(file) as container:
        parts = [one for frame in container.decode(audio=0) for one in resampler.resample(frame)]
    return _joined([*parts, *resampler.resample(None)])
