"""Opening of media files: self-contained formats only, from the disk only."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from dubl.errors import (
    EmptyFile,
    NotAVideo,
    NoVideoStream,
    SourceNotFound,
    TruncatedVideo,
    UnsupportedCodec,
    VideoTooComplex,
)
from dubl.media.deadline import Deadline
from dubl.media.extent import matroska_starts
from dubl.settings import MediaSettings

# Without playlists, image sequences, and formats that name other files (hls, dash, concat, image2).
ACCEPTED_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska,webm",
    "avi",
    "asf",
    "flv",
    "gif",
    "ivf",
    "mpeg",
    "mpegts",
    "mxf",
    "ogg",
)

MAX_JOINED = 256  # Matroska files behind one another; chosen, bounds the time

_ISO_BOX_TYPES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp")
# Place and bytes of formats that are known and not read; their names.
_REFUSED = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG or APNG"),
    (8, b"WEBP", "WebP"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x00\x00\x00\x01\x67", "raw H.264, without a container,"),
    (0, b"\x00\x00\x00\x01\x09", "raw H.264, without a container,"),
    (0, b"\x00\x00\x00\x01\x40", "raw H.265, without a container,"),
)
_EBML_MAGIC = b"\x1a\x45\xdf\xa3"


_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join(ACCEPTED_FORMATS)}


def open_container(path: str) -> InputContainer:
    """Opens a file for reading, as a context manager.

    Raises SourceNotFound, EmptyFile, NotAVideo, or TruncatedVideo if the file begins like a video
    but has no index.
    """
    file = Path(path)
    if not file.is_file():
        raise SourceNotFound("the file no longer exists")
    if file.stat().st_size == 0:
        raise EmptyFile("the file has no bytes")
    try:
        container: InputContainer = av.open(f"file:{file.absolute()}", options=_OPTIONS)
    except av.error.ArgumentError as exc:
        name = _known_name(file)
        named = f"the format {name}" if name else "the file's container format"
        raise NotAVideo(f"{named} is not supported") from exc
    except (av.error.FFmpegError, UnicodeDecodeError) as exc:
        if begins_like_video(file):
            raise TruncatedVideo("the file begins like a video, but its index is missing") from exc
        name = _known_name(file)
        raise NotAVideo(
            f"the format {name} is not supported"
            if name
            else "the file is not a readable media file"
        ) from exc
    return container


class Films(NamedTuple):
    """The video stream that players show, with a bounded decoder, and the places, among all video
    streams, of the others that are long enough to be checked."""

    shown: VideoStream
    further: tuple[int, ...]


def films(container: InputContainer, *, settings: MediaSettings, deadline: Deadline) -> Films:
    """The films of a file. Cover art is ignored.

    Of several streams players show: a film before a single picture, then the default one, the
    largest picture, the most pictures, the first; for that the file is read once. Raises
    NoVideoStream, UnsupportedCodec, VideoTooComplex, DecodeTimeout.
    """
    if len(container.streams) > settings.max_streams:
        raise VideoTooComplex(
            f"the file has {len(container.streams)} streams; media.max_streams allows "
            f"{settings.max_streams}",
            context={"streams": len(container.streams), "limit_streams": settings.max_streams},
        )
    streams = {
        place: one
        for place, one in enumerate(container.streams.video)
        if not one.disposition & Disposition.attached_pic
    }
    if not streams:
        raise NoVideoStream("the file has no video stream")
    several = list(streams.values())
    counts = _pictures(container, several, deadline) if len(several) > 1 else Counter()
    shown = max(several, key=partial(_rank, counts=counts))
    further = tuple(
        place
        for place, one in streams.items()
        if one is not shown and _is_long(one, counts[one.index], settings.min_duration_s)
    )
    return Films(bounded(shown, settings), further)


def bounded(stream: VideoStream, settings: MediaSettings) -> VideoStream:
    """The stream, with a bounded decoder. Raises UnsupportedCodec."""
    if stream.codec_context is None:
        raise UnsupportedCodec("the video's codec has no decoder")
    stream.codec_context.thread_count = settings.decode_threads
    # The frame size may change within a stream: no memory is taken for larger frames.
    stream.codec_context.options = {"max_pixels": str(settings.max_pixels)}
    return stream


def _rank(stream: VideoStream, counts: Counter[int]) -> tuple[bool, bool, int, int]:
    default = bool(stream.disposition & Disposition.default)
    codec, count = stream.codec_context, counts[stream.index]
    return count > 1, default, codec.width * codec.height if codec else 0, count


def _is_long(stream: VideoStream, pictures: int, least_s: float) -> bool:
    return pictures > 1 and pictures >= least_s * float(stream.average_rate or 1)


def _pictures(
    container: InputContainer, streams: Sequence[VideoStream], deadline: Deadline
) -> Counter[int]:
    """Pictures of each stream, counted to the end of the file or its first damage."""
    counts: Counter[int] = Counter()
    with (
        open_container(container.name.removeprefix("file:")) as other,
        suppress(av.error.FFmpegError, IndexError),
    ):
        for packet in other.demux([other.streams[one.index] for one in streams]):
            deadline.check()
            counts[packet.stream_index] += packet.size > 0
    return counts


def packets(
    container: InputContainer, stream: VideoStream, *others: AudioStream
) -> Iterator[Packet[Any]]:
    """Packets of these streams up to the end of the file.

    Raises av.error.FFmpegError on damage. This includes a new stream that appears in the middle of
    the file, on which PyAV raises IndexError.
    """
    try:
        if not container.format.name.startswith("matroska"):
            yield from container.demux(stream, *others)
            return
        yield from _joined_packets(container, stream, others)
    except IndexError as exc:
        raise av.error.InvalidDataError(errno.EINVAL, "a stream appears in the middle") from exc


def _joined_packets(
    container: InputContainer, stream: VideoStream, others: Sequence[AudioStream]
) -> Iterator[Packet[Any]]:
    """Packets of all Matroska files that were joined: FFmpeg stops behind the second one.

    Further files are decoded by tracks of their own. Raises av.error.FFmpegError, VideoTooComplex.
    """
    path = container.name.removeprefix("file:")
    starts, reached = matroska_starts(path), 0
    for packet in container.demux(stream, *others):
        reached = max(reached, packet.pos or 0)
        yield packet
    for number, start in enumerate(starts):
        if start <= reached:
            continue
        if number == MAX_JOINED:
            raise VideoTooComplex(f"the file joins more than {MAX_JOINED} files")
        with Path(path).open("rb") as file, av.open(_From(file, start), options=_OPTIONS) as part:
            wanted = [part.streams[one.index] for one in (stream, *others)]
            codec, own = stream.codec_context, wanted[0].codec_context
            own.thread_count, own.options = codec.thread_count, codec.options
            own.skip_frame = codec.skip_frame
            for packet in part.demux(wanted):
                reached = max(reached, start + (packet.pos or 0))
                yield packet


class _From:
    """A file from `start` on, for FFmpeg to read."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self._file, self._start = file, start
        self.seek(0)

    def read(self, count: int) -> bytes:
        return self._file.read(count)

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place + (self._start if whence == 0 else 0), whence) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start


def _known_name(file: Path) -> str:
    """The name of a refused format by the first bytes; empty if it is unknown."""
    with file.open("rb") as stream:
        head = stream.read(16)
    known = (name for at, magic, name in _REFUSED if head[at : at + len(magic)] == magic)
    return next(known, "")


def begins_like_video(file: Path) -> bool:
    """Whether the first bytes are those of MP4, MOV, Matroska or WebM."""
    with file.open("rb") as stream:
        head = stream.read(16)
    return head[4:8] in _ISO_BOX_TYPES or head.startswith(_EBML_MAGIC)
