"""Pairs that look alike and are no copies: what a checker must not report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dubl.footage.cards import credits_roll, slide, title
from dubl.footage.clips import Clip, cut, drawn, fitted, joined, painted, scaled
from dubl.footage.textures import gradient, palette
from dubl.footage.video_file import Image, Size

_MIN_CAMERA_S = 8.0
_INTRO_S = 3.0
_TITLE_SIZE = (640, 360)
_SLIDE_S = 3.0
_CREDITS_S = 6.0
_BLACK_S = 1.5
_NEARER = 0.25
_WARMER = np.array([1.12, 1.0, 0.86], dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class NegativePair:
    """A reference and a query that share a look but no footage."""

    kind: str
    reference: Clip
    query: Clip


def negative_pairs(clips: Sequence[Clip], rng: np.random.Generator) -> list[NegativePair]:
    """Deals clips out into pairs; no footage of a clip appears in two pairs.

    The longest third is split in time, every other one seen by a second camera; the others, two by
    two, share an intro or an end by turns.
    One pair of slides, which needs no footage, is added where there are clips at all.
    """
    if not clips:
        return []
    longest_first = sorted(clips, key=lambda clip: -clip.duration_s)
    split = longest_first[: -(-len(clips) // 3)]
    paired = longest_first[len(split) :]
    later = [
        same_set(pair) if place % 2 else pair
        for place, clip in enumerate(split)
        if (pair := same_camera_later(clip)) is not None
    ]
    alike = [
        (black_and_credits if place % 4 else shared_intro)(paired[place], paired[place + 1], rng)
        for place in range(0, len(paired) - 1, 2)
    ]
    return [slides(clips[0].size, clips[0].frame_rate, rng), *later, *alike]


def same_camera_later(clip: Clip) -> NegativePair | None:
    """The first and the last 45 % of one clip; None when the clip is under 8 s."""
    if clip.duration_s < _MIN_CAMERA_S:
        return None
    length = int(clip.frames * 0.45)
    return NegativePair(
        kind="same_camera_later",
        reference=cut(clip, 0, length),
        query=cut(clip, clip.frames - length, clip.frames),
    )


def same_set(pair: NegativePair) -> NegativePair:
    """The later part as a second camera on the set would show it: nearer, warmer, brighter."""
    width, height = pair.query.size
    left, top = round(width * _NEARER / 2), round(height * _NEARER / 2)

    def paint(image: Image, _time_s: float) -> Image:
        part = scaled(image[top : height - top, left : width - left], (width, height))
        warmer: Image = np.clip(part * _WARMER + 8, 0, 255).astype(np.uint8)
        return warmer

    return NegativePair(
        kind="same_set",
        reference=pair.reference,
        query=painted(pair.query, pair.query.size, paint),
    )


def shared_intro(one: Clip, other: Clip, rng: np.random.Generator) -> NegativePair:
    """Two videos behind the same 3 s title. The title is shared, the videos are not."""
    seed = int(rng.integers(2**31))

    def titled(clip: Clip) -> Clip:
        title = _title(clip.frame_rate, np.random.default_rng(seed))
        return joined([fitted(title, clip.size), clip])

    return NegativePair(kind="shared_intro", reference=titled(one), query=titled(other))


def slides(size: Size, frame_rate: float, rng: np.random.Generator) -> NegativePair:
    """Two talks on one template: same colors and layout, other words; nothing moves."""
    colors, seed = palette(3, rng), int(rng.integers(2**31))

    def deck() -> Clip:
        background = gradient(size, np.random.default_rng(seed))
        pages = [np.asarray(slide(background, colors, rng)) for _ in range(4)]
        return drawn(
            size, frame_rate, _SLIDE_S * len(pages), lambda time_s: pages[int(time_s / _SLIDE_S)]
        )

    return NegativePair(kind="slides", reference=deck(), query=deck())


def black_and_credits(one: Clip, other: Clip, rng: np.random.Generator) -> NegativePair:
    """Two videos that end alike: black, then rolling names, but not the same names."""

    def ended(clip: Clip) -> Clip:
        black = np.zeros((clip.size[1], clip.size[0], 3), dtype=np.uint8)
        pause = drawn(clip.size, clip.frame_rate, _BLACK_S, lambda _: black)
        return joined([clip, pause, _credits(clip.size, clip.frame_rate, rng)])

    return NegativePair(kind="black_and_credits", reference=ended(one), query=ended(other))


def _title(frame_rate: float, rng: np.random.Generator) -> Clip:
    """A name that fades in over a gradient."""
    ground = gradient(_TITLE_SIZE, rng)
    plain = np.asarray(ground, dtype=np.float32)
    lettered = np.asarray(title(ground, _TITLE_SIZE[1] / 7, rng), dtype=np.float32)

    def draw(time_s: float) -> Image:
        seen = np.float32(min(time_s / 1.0, 1.0))
        return (plain + (lettered - plain) * seen).astype(np.uint8)

    return drawn(_TITLE_SIZE, frame_rate, _INTRO_S, draw)


def _credits(size: Size, frame_rate: float, rng: np.random.Generator) -> Clip:
    """White names rolling up over black."""
    height = size[1]
    names = credits_roll(size, max(height / 16, 8), height / 9, rng)

    def draw(time_s: float) -> Image:
        top = round(2 * height * time_s / _CREDITS_S)
        return names[top : top + height]

    return drawn(size, frame_rate, _CREDITS_S, draw)
