"""Lazy clips of a constant frame rate, and the operations from which edits are made.

A `Clip` promises its frames by index and reads them only when asked, so that edits of long
videos, and edits of edits, hold a second of pictures at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image as PillowImage

from dubl.errors import TruncatedVideo
from dubl.footage.video_file import (
    Encoding,
    Image,
    Size,
    TimedFrame,
    probe,
    read_frames,
    write_video,
)

Paint = Callable[[Image, float], Image]  # (picture, its second in the clip) -> picture
Mix = Callable[[Image, Image], Image]  # (picture of one clip, of the other) -> picture

_HOLD_S = 1.0  # how far back a picture that is still shown may have begun


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """`frames` pictures of `size` (width, height); number k is shown at k / frame_rate seconds.

    read(first, last) yields the pictures first … last - 1, uint8 [H, W, 3].
    """

    size: Size
    frame_rate: float
    frames: int
    read: Callable[[int, int], Iterator[Image]]

    @property
    def duration_s(self) -> float:
        return self.frames / self.frame_rate

    def pictures(self) -> Iterator[Image]:
        return self.read(0, self.frames)

    def frame_at(self, time_s: float) -> int:
        """Index of the picture boundary nearest to `time_s`, within the clip."""
        return min(max(round(time_s * self.frame_rate), 0), self.frames)


def open_clip(path: Path, *, max_side: int = 640, max_rate: float = 30) -> Clip:
    """Takes a file as a clip; larger, faster or variable-rate videos are scaled and resampled."""
    facts = probe(path)
    rate = min(facts.frame_rate, max_rate)
    frames = max(round(facts.duration_s * rate), 1)
    first = next(read_frames(path, max_side=max_side), None)
    if first is None:
        raise TruncatedVideo(f"{path.name} has no picture that can be decoded")
    height, width = (side // 2 * 2 for side in first.image.shape[:2])

    def read(start: int, stop: int) -> Iterator[Image]:
        for image in _on_grid(path, start, stop, rate, max_side):
            yield image[:height, :width]

    return Clip(size=(width, height), frame_rate=rate, frames=frames, read=read)


def drawn(size: Size, frame_rate: float, duration_s: float, draw: Callable[[float], Image]) -> Clip:
    """A clip made by code: `draw` gives the picture of a second."""

    def read(start: int, stop: int) -> Iterator[Image]:
        return (draw(index / frame_rate) for index in range(start, stop))

    frames = max(round(duration_s * frame_rate), 1)
    return Clip(size=size, frame_rate=frame_rate, frames=frames, read=read)


def write_clip(path: Path, clip: Clip, *, encoding: Encoding | None = None) -> None:
    """Encodes the whole clip to a file."""
    rate = clip.frame_rate
    timed = (
        TimedFrame(time_s=index / rate, image=image) for index, image in enumerate(clip.pictures())
    )
    write_video(path, timed, frame_rate=rate, encoding=encoding)


def recoded(clip: Clip, encoding: Encoding) -> Clip:
    """The clip as it comes out of a coder, its pictures held in memory."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"clip{encoding.suffix}"
        write_clip(path, clip, encoding=encoding)
        images = [frame.image for frame in read_frames(path)]
    return replace(clip, frames=len(images), read=lambda start, stop: iter(images[start:stop]))


def cut(clip: Clip, first: int, last: int) -> Clip:
    """Frames first … last - 1 as a clip of their own."""
    if not 0 <= first < last <= clip.frames:
        raise ValueError(f"frames {first}:{last} of a clip that has {clip.frames}")
    return replace(
        clip,
        frames=last - first,
        read=lambda start, stop: clip.read(first + start, first + stop),
    )


def joined(clips: Sequence[Clip]) -> Clip:
    """One clip after the other; all have the size and rate of the first."""
    if len({(clip.size, clip.frame_rate) for clip in clips}) != 1:
        raise ValueError("only clips of one size and frame rate can be joined")

    def read(start: int, stop: int) -> Iterator[Image]:
        offset = 0
        for clip in clips:
            first, last = max(start - offset, 0), min(stop - offset, clip.frames)
            if first < last:
                yield from clip.read(first, last)
            offset += clip.frames

    return replace(clips[0], frames=sum(clip.frames for clip in clips), read=read)


def looped(clip: Clip, frames: int) -> Clip:
    """The clip over and over until it has `frames` frames."""
    rounds = -(-frames // clip.frames)
    return cut(joined([clip] * rounds), 0, frames)


def resampled(clip: Clip, frame_rate: float, *, speed: float = 1.0) -> Clip:
    """Shows the clip `speed` times as fast, at another frame rate, repeating or dropping frames."""
    frames = max(round(clip.duration_s / speed * frame_rate), 1)
    step = speed * clip.frame_rate / frame_rate

    def source_of(index: int) -> int:
        return min(int(index * step + 0.25), clip.frames - 1)

    def read(start: int, stop: int) -> Iterator[Image]:
        first = source_of(start)
        pictures = clip.read(first, source_of(stop - 1) + 1)
        image, place = next(pictures), first
        for index in range(start, stop):
            while place < source_of(index):
                image, place = next(pictures), place + 1
            yield image

    return replace(clip, frame_rate=frame_rate, frames=frames, read=read)


def backwards(clip: Clip) -> Clip:
    """The last frame first, read a second at a time."""
    chunk = max(round(clip.frame_rate), 1)

    def read(start: int, stop: int) -> Iterator[Image]:
        for high in range(clip.frames - start, clip.frames - stop, -chunk):
            low = max(high - chunk, clip.frames - stop)
            yield from reversed(list(clip.read(low, high)))

    return replace(clip, read=read)


def painted(clip: Clip, size: Size, paint: Paint) -> Clip:
    """Every picture passed through `paint`, which makes pictures of `size`."""

    def read(start: int, stop: int) -> Iterator[Image]:
        for index, image in enumerate(clip.read(start, stop), start):
            yield paint(image, index / clip.frame_rate)

    return replace(clip, size=size, read=read)


def mixed(clip: Clip, other: Clip, size: Size, mix: Mix) -> Clip:
    """Pictures of both, instant by instant; the other is brought to the length of the first."""
    partner = looped(resampled(other, clip.frame_rate), clip.frames)

    def read(start: int, stop: int) -> Iterator[Image]:
        pairs = zip(clip.read(start, stop), partner.read(start, stop), strict=True)
        return (mix(image, foreign) for image, foreign in pairs)

    return replace(clip, size=size, read=read)


def fitted(clip: Clip, size: Size) -> Clip:
    """The clip scaled to fit into `size`, with black bars where the shape differs."""
    if clip.size == size:
        return clip
    scale = min(size[0] / clip.size[0], size[1] / clip.size[1])
    width, height = max(round(clip.size[0] * scale), 1), max(round(clip.size[1] * scale), 1)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2

    def paint(image: Image, _time_s: float) -> Image:
        canvas = np.zeros((size[1], size[0], 3), dtype=np.uint8)
        return inlaid(canvas, image, (width, height), (left, top))

    return painted(clip, size, paint)


def scaled(image: Image, size: Size) -> Image:
    """The picture at `size` (width, height), antialiased."""
    if (image.shape[1], image.shape[0]) == size:
        return image
    picture = PillowImage.fromarray(image).resize(size, PillowImage.Resampling.BILINEAR)
    return np.asarray(picture)


def inlaid(canvas: Image, image: Image, size: Size, place: tuple[int, int]) -> Image:
    """The canvas itself, with the picture at `size` on it; place: its left top corner."""
    left, top = place
    canvas[top : top + size[1], left : left + size[0]] = scaled(image, size)
    return canvas


def even(width: float, height: float) -> Size:
    """The nearest size that coders accept: even sides of 16 pixels or more."""
    return max(16, round(width / 2) * 2), max(16, round(height / 2) * 2)


def _on_grid(path: Path, start: int, stop: int, rate: float, max_side: int) -> Iterator[Image]:
    """Frames start … stop - 1 of a clip of constant `rate`: of each instant the latest picture.

    A picture may come a quarter of a frame early, since containers round their times. A file
    that ends before its promised length goes on with its last picture.
    """
    tolerance_s = 0.25 / rate
    first_s = max(start / rate - _HOLD_S, 0.0)
    source = read_frames(path, start_s=first_s, end_s=stop / rate, max_side=max_side)
    current = following = next(source, None)
    if current is None or following is None:
        raise TruncatedVideo(f"{path.name} ends before {start / rate:.1f} s")
    for index in range(start, stop):
        while following is not None and following.time_s <= index / rate + tolerance_s:
            current, following = following, next(source, None)
        yield current.image
