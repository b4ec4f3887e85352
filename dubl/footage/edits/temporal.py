"""Edits of time: speed, frame rate, reverse, trim, splices into another video."""

from __future__ import annotations

import itertools

from dubl.footage.clips import Clip, backwards, cut, fitted, joined, resampled
from dubl.footage.edits.edit import Draw, EditedClip, Family, Span, edit

_LONGEST_HOST_S = 30.0  # how much of the other video surrounds a splice


@edit(Family.TEMPORAL, "1.1-2 times faster or slower")
def speed(clip: Clip, draw: Draw) -> EditedClip:
    """Up to twice as fast, or down to half as fast."""
    factor = draw.between(1.1, 2.0)
    factor = factor if draw.rng.uniform() < 0.5 else 1 / factor
    changed = resampled(clip, clip.frame_rate, speed=factor)
    return _shown_whole(clip, changed)


@edit(Family.TEMPORAL, "15-5 pictures a second")
def frame_rate(clip: Clip, draw: Draw) -> EditedClip:
    """15 down to 5 pictures a second."""
    return _shown_whole(clip, resampled(clip, min(draw.between(15, 5), clip.frame_rate)))


@edit(Family.TEMPORAL, "backwards")
def reverse(clip: Clip, _draw: Draw) -> EditedClip:
    return _shown_whole(clip, backwards(clip), backward=True)


@edit(Family.TEMPORAL, "80-25 % of the time")
def trim(clip: Clip, draw: Draw) -> EditedClip:
    """Keeps 80 to 25 % of the time, 3 s at least where the clip has them."""
    least = clip.frame_at(min(3.0, clip.duration_s))
    length = min(max(round(clip.frames * draw.between(0.8, 0.25)), least, 1), clip.frames)
    first = int(draw.rng.integers(0, clip.frames - length + 1))
    span = frames_shown(clip, 0, first, length)
    return EditedClip(clip=cut(clip, first, first + length), spans=(span,))


@edit(Family.TEMPORAL, "8-3 s inside another video", needs_donor=True)
def splice(clip: Clip, draw: Draw) -> EditedClip:
    """One piece of 8 to 3 s between two parts of another video."""
    return _spliced(clip, draw, [_piece(clip, draw.between(8, 3), 0, clip.frames, draw)])


@edit(Family.TEMPORAL, "2-4 pieces of 6-3 s inside another video, in mixed order", needs_donor=True)
def multi_splice(clip: Clip, draw: Draw) -> EditedClip:
    """Two to four pieces of 6 to 3 s, in mixed order, between parts of another video.

    A short clip gives fewer pieces, so that each has 2 s.
    """
    count = max(min(int(draw.rng.integers(2, 5)), int(clip.duration_s / 2)), 1)
    room = clip.frames // count
    pieces = [
        _piece(clip, draw.between(6, 3), place * room, (place + 1) * room, draw)
        for place in draw.rng.permutation(count)
    ]
    return _spliced(clip, draw, pieces)


def _piece(clip: Clip, length_s: float, low: int, high: int, draw: Draw) -> tuple[int, int]:
    """First and last + 1 frame of a piece within low … high."""
    length = max(min(clip.frame_at(length_s), high - low), 1)
    first = int(draw.rng.integers(low, max(high - length, low) + 1))
    return first, min(first + length, clip.frames)


def _spliced(clip: Clip, draw: Draw, pieces: list[tuple[int, int]]) -> EditedClip:
    """Parts of the other video and pieces of the clip, by turns; the host gives size and rate."""
    host = draw.foreign()
    own = resampled(fitted(clip, host.size), host.frame_rate)
    gaps = _host_parts(host, len(pieces) + 1, draw)
    parts, spans, offset = [gaps[0]], [], gaps[0].frames
    for (first, last), gap in zip(pieces, gaps[1:], strict=True):
        start = min(own.frame_at(first / clip.frame_rate), own.frames - 1)
        stop = max(own.frame_at(last / clip.frame_rate), start + 1)
        parts += [cut(own, start, stop), gap]
        spans.append(frames_shown(own, offset, start, stop - start))
        offset += stop - start + gap.frames
    return EditedClip(clip=joined(parts), spans=tuple(spans))


def _host_parts(host: Clip, count: int, draw: Draw) -> list[Clip]:
    """Cuts 30 s of the host (all of it when shorter) into `count` parts."""
    count = min(count, host.frames)
    length = min(host.frames, max(host.frame_at(_LONGEST_HOST_S), count))
    begin = int(draw.rng.integers(0, host.frames - length + 1))
    inner = [
        round(length * (place + draw.rng.uniform(-0.25, 0.25)) / count) for place in range(1, count)
    ]
    edges = [begin, *(begin + min(max(edge, 1), length - 1) for edge in inner), begin + length]
    return [cut(host, first, max(last, first + 1)) for first, last in itertools.pairwise(edges)]


def _shown_whole(clip: Clip, changed: Clip, *, backward: bool = False) -> EditedClip:
    span = Span(
        query_start_s=0.0,
        query_end_s=changed.duration_s,
        reference_start_s=0.0,
        reference_end_s=clip.duration_s,
        reversed=backward,
    )
    return EditedClip(clip=changed, spans=(span,))


def frames_shown(clip: Clip, query_first: int, reference_first: int, length: int) -> Span:
    """The truth of `length` frames taken over one to one."""
    rate = clip.frame_rate
    return Span(
        query_start_s=query_first / rate,
        query_end_s=(query_first + length) / rate,
        reference_start_s=reference_first / rate,
        reference_end_s=(reference_first + length) / rate,
    )
