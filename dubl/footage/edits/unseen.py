"""Edits that nothing is fitted to: for measuring alone.

Training, validation, calibration and usual suites take edits from REGISTRY, where these are not. A
suite has them only if they are named. So figures on them tell of edits that nobody tuned for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate, pairwise

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFilter, ImageFont

from dubl.footage.clips import Clip, cut, even, inlaid, joined, mixed
from dubl.footage.edits.edit import Draw, EditedClip, Family, edit, repainted, whole
from dubl.footage.edits.overlay import sign
from dubl.footage.edits.temporal import frames_shown
from dubl.footage.textures import as_color, palette, words
from dubl.footage.video_file import Image

_PIECE_S = 2.0  # the shortest piece between two jump cuts
_ACCENTS = str.maketrans("aeioun", "àéîöüñ")


@edit(Family.TEMPORAL, "2-5 pieces with gaps of 0.3-1 s between them")
def jump_cuts(clip: Clip, draw: Draw) -> EditedClip:
    """Cuts short gaps out, and shows the pieces between them one after the other."""
    gap = max(clip.frame_at(draw.between(0.3, 1.0)), 1)
    room = clip.frame_at(_PIECE_S) + gap
    count = int(np.clip(clip.frames // max(room, 1), 2, max(2, round(draw.between(2, 5)))))
    edges = np.linspace(0, clip.frames + gap, count + 1).astype(int)
    pieces = [(int(first), int(last) - gap) for first, last in pairwise(edges)]
    pieces = [(first, max(min(last, clip.frames), first + 1)) for first, last in pieces]
    lengths = [last - first for first, last in pieces]
    starts = accumulate(lengths, initial=0)
    shown = zip(starts, pieces, lengths, strict=False)
    return EditedClip(
        clip=joined([cut(clip, *piece) for piece in pieces]),
        spans=tuple(frames_shown(clip, at, first, length) for at, (first, _), length in shown),
    )


@edit(Family.TEMPORAL, "each second to fourth picture is of another video", needs_donor=True)
def interleaved(clip: Clip, draw: Draw) -> EditedClip:
    turn = round(draw.between(4, 2))
    changed = mixed(clip, draw.foreign(), clip.size, _fitting)

    def read(start: int, stop: int) -> Iterator[Image]:
        pairs = zip(clip.read(start, stop), changed.read(start, stop), strict=True)
        for index, (own, foreign) in enumerate(pairs, start):
            yield foreign if index % turn == turn - 1 else own

    return EditedClip(clip=replace(clip, read=read), spans=whole(clip))


@edit(Family.TEMPORAL, "a white flash of 0.1 s each 1.5-0.5 s")
def flashes(clip: Clip, draw: Draw) -> EditedClip:
    period_s, length_s = draw.between(1.5, 0.5), 0.1

    def paint(image: Image, time_s: float) -> Image:
        lit = (time_s + 1e-6) % period_s < length_s
        return np.full_like(image, 250) if lit else image

    return repainted(clip, clip.size, paint)


@edit(Family.PHOTOMETRIC, "lights and darks exchanged")
def negative(clip: Clip, _draw: Draw) -> EditedClip:
    return repainted(clip, clip.size, lambda image, _: 255 - image)


@edit(Family.PHOTOMETRIC, "8-4 levels of light, with dark edges")
def cartoon(clip: Clip, draw: Draw) -> EditedClip:
    step = 256 / round(draw.between(8, 4))
    levels = np.minimum((np.arange(256) // step + 0.5) * step, 255).astype(np.uint8)

    def paint(image: Image, _time_s: float) -> Image:
        picture = PillowImage.fromarray(image)
        flat = levels[np.asarray(picture.filter(ImageFilter.MedianFilter(5)))]
        edges = np.asarray(picture.convert("L").filter(ImageFilter.FIND_EDGES))
        return np.where((edges > 60)[:, :, None], 0, flat).astype(np.uint8)

    return repainted(clip, clip.size, paint)


@edit(Family.PHOTOMETRIC, "3-10 strips displaced, colors apart, anew 8 times a second")
def glitch(clip: Clip, draw: Draw) -> EditedClip:
    width, height = clip.size
    count, reach = round(draw.between(3, 10)), draw.between(0.04, 0.2) * width
    seed = int(draw.rng.integers(1 << 30))

    def paint(image: Image, time_s: float) -> Image:
        chance = np.random.default_rng([seed, int(time_s * 8 + 1e-6)])
        broken = image.copy()
        broken[:, :, 0] = np.roll(image[:, :, 0], int(chance.uniform(-reach, reach) / 4), axis=1)
        for top in chance.integers(0, height, count):
            strip = slice(int(top), int(top) + max(height // 16, 1))
            broken[strip] = np.roll(broken[strip], int(chance.uniform(-reach, reach)), axis=1)
        return broken

    return repainted(clip, clip.size, paint)


@edit(Family.OVERLAY, "a sign of 15-35 % of the width that wanders")
def moving_watermark(clip: Clip, draw: Draw) -> EditedClip:
    width, height = clip.size
    shape = sign(max(round(width * draw.between(0.15, 0.35)), 8), draw.rng)
    phases, pace = draw.rng.uniform(0, 6, 2), draw.between(0.4, 1.2)

    def paint(image: Image, time_s: float) -> Image:
        x, y = 0.5 + 0.5 * np.sin(pace * np.array([1.0, 0.7]) * time_s + phases)
        room = (max(width - shape.width, 0), max(height - shape.height, 0))
        picture = PillowImage.fromarray(image)
        picture.paste(shape, (int(x * room[0]), int(y * room[1])), shape)
        return np.asarray(picture)

    return repainted(clip, clip.size, paint)


@edit(Family.FRAMING, "on the screen of a phone in two hands, 75-50 % of the picture")
def phone_frame(clip: Clip, draw: Draw) -> EditedClip:
    width, height = clip.size
    part = draw.between(0.75, 0.5)
    inner = even(width * part, height * part)
    place = ((width - inner[0]) // 2, (height - inner[1]) // 2)
    room = np.asarray(_held_phone(clip, draw, inner, place))
    return repainted(clip, clip.size, lambda image, _: inlaid(room.copy(), image, inner, place))


@edit(Family.GEOMETRIC, "a window of 75-50 % of each side that slides")
def sliding_crop(clip: Clip, draw: Draw) -> EditedClip:
    part = draw.between(0.75, 0.5)
    size = even(clip.size[0] * part, clip.size[1] * part)
    room = (max(clip.size[0] - size[0], 0), max(clip.size[1] - size[1], 0))
    ends = draw.rng.uniform(0, 1, (2, 2))

    def paint(image: Image, time_s: float) -> Image:
        at = ends[0] + (ends[1] - ends[0]) * min(time_s / clip.duration_s, 1)
        left, top = int(at[0] * room[0]), int(at[1] * room[1])
        return image[top : top + size[1], left : left + size[0]]

    return repainted(clip, size, paint)


@edit(Family.OVERLAY, "a band of 15-30 % of the height with lines in two languages")
def subtitle_band(clip: Clip, draw: Draw) -> EditedClip:
    """An opaque band at the bottom; its lines change each 2 s."""
    width, height = clip.size
    band = max(round(height * draw.between(0.15, 0.3)), 8)
    pages = [np.asarray(_two_lines(width, band, draw)) for _ in range(5)]

    def paint(image: Image, time_s: float) -> Image:
        page = pages[int(time_s / 2) % len(pages)]
        return np.concatenate([image[: height - band], page])

    return repainted(clip, clip.size, paint)


def _fitting(own: Image, foreign: Image) -> Image:
    """The other video's picture, in the size of the own."""
    return inlaid(np.empty_like(own), foreign, (own.shape[1], own.shape[0]), (0, 0))


def _held_phone(
    clip: Clip, draw: Draw, inner: tuple[int, int], place: tuple[int, int]
) -> PillowImage.Image:
    """A table with a dark phone on it, and a thumb at each side."""
    table, skin = (as_color(row) for row in palette(2, draw.rng))
    room = PillowImage.new("RGB", clip.size, table)
    pen, (left, top) = ImageDraw.Draw(room), place
    right, bottom, rim = left + inner[0], top + inner[1], max(round(clip.size[0] * 0.03), 2)
    body = (left - 2 * rim, top - rim, right + 2 * rim, bottom + rim)
    pen.rounded_rectangle(body, radius=2 * rim, fill=(15, 15, 18))
    for edge in (left - 2 * rim, right + 2 * rim):
        pen.ellipse((edge - 3 * rim, bottom - 5 * rim, edge + 2 * rim, bottom), fill=skin)
    return room


def _two_lines(width: int, band: int, draw: Draw) -> PillowImage.Image:
    page = PillowImage.new("RGB", (width, band), (12, 12, 20))
    pen, letter = ImageDraw.Draw(page), max(band * 0.34, 6)
    lines = (words(3, draw.rng), words(3, draw.rng).translate(_ACCENTS))
    for place, line in enumerate(lines):
        pen.text(
            (width / 2, band * (0.1 + 0.45 * place)),
            line,
            fill=((255, 255, 255), (255, 225, 40))[place],
            font=ImageFont.load_default(letter),
            anchor="ma",
        )
    return page
