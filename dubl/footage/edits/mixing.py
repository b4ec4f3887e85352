"""Edits that show another video at the same time: picture-in-picture both ways, split screen."""

from __future__ import annotations

import numpy as np

from dubl.footage.clips import Clip, Mix, even, inlaid, mixed, scaled
from dubl.footage.edits.edit import Draw, EditedClip, Family, edit, whole
from dubl.footage.video_file import Image, Size


@edit(Family.MIXING, "small over another video, 55-28 % wide", needs_donor=True)
def pip_inset(clip: Clip, draw: Draw) -> EditedClip:
    """The copy is the small picture, 55 to 28 % wide, over another video."""
    host = draw.foreign()
    inner, place = _inset(clip.size, host.size, draw.between(0.55, 0.28), draw)
    return _with_foreign(
        clip, draw, host.size, lambda image, foreign: inlaid(foreign.copy(), image, inner, place)
    )


@edit(Family.MIXING, "another video small over it, 22-50 % wide", needs_donor=True)
def pip_over(clip: Clip, draw: Draw) -> EditedClip:
    """Another video is the small picture, 22 to 50 % wide, over the copy."""
    inner, place = _inset(draw.foreign().size, clip.size, draw.between(0.22, 0.5), draw)
    return _with_foreign(
        clip, draw, clip.size, lambda image, foreign: inlaid(image.copy(), foreign, inner, place)
    )


@edit(Family.MIXING, "beside another video, 65-35 % of the picture", needs_donor=True)
def split_screen(clip: Clip, draw: Draw) -> EditedClip:
    """Copy and other video side by side (or one above the other); the copy keeps 65 to 35 %."""
    width, height = clip.size
    part, first = draw.between(0.65, 0.35), draw.rng.uniform() < 0.5
    if draw.rng.uniform() < 0.5:
        own, other, axis = even(width * part, height), even(width * (1 - part), height), 1
    else:
        own, other, axis = even(width, height * part), even(width, height * (1 - part)), 0
    size = (own[0] + other[0], height) if axis else (width, own[1] + other[1])

    def mix(image: Image, foreign: Image) -> Image:
        halves = [_covered(image, own), _covered(foreign, other)]
        return np.concatenate(halves if first else halves[::-1], axis=axis)

    return _with_foreign(clip, draw, size, mix)


def _with_foreign(clip: Clip, draw: Draw, size: Size, mix: Mix) -> EditedClip:
    return EditedClip(clip=mixed(clip, draw.foreign(), size, mix), spans=whole(clip))


def _inset(small: Size, large: Size, part: float, draw: Draw) -> tuple[Size, tuple[int, int]]:
    """Size of the inset and its left top corner: near one of the four corners."""
    scale = min(large[0] * part / small[0], large[1] * min(part * 1.4, 0.8) / small[1])
    width, height = max(round(small[0] * scale), 2), max(round(small[1] * scale), 2)
    rim = round(large[0] * 0.03)
    left = rim if draw.rng.uniform() < 0.5 else large[0] - width - rim
    top = rim if draw.rng.uniform() < 0.5 else large[1] - height - rim
    return (width, height), (max(left, 0), max(top, 0))


def _covered(image: Image, size: Size) -> Image:
    """The middle of the picture, filling `size`."""
    height, width = image.shape[:2]
    part = max(size[0] / width, size[1] / height)
    grown = scaled(image, (max(round(width * part), size[0]), max(round(height * part), size[1])))
    left, top = (grown.shape[1] - size[0]) // 2, (grown.shape[0] - size[1]) // 2
    return grown[top : top + size[1], left : left + size[0]]
