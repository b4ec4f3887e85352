"""All edits by name, the re-encode, and chains of several edits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from dubl.footage.clips import Clip
from dubl.footage.edits import framing, geometric, mixing, overlay, photometric, temporal
from dubl.footage.edits.edit import Draw, Edit, EditedClip, Family, composed, whole
from dubl.footage.video_file import Codec, Encoding

# Usual and worst quality of each codec, on its own scale.
_QUALITY: Mapping[Codec, tuple[int, int]] = MappingProxyType(
    {"h264": (28, 42), "hevc": (30, 44), "vp9": (38, 60), "mpeg4": (6, 24)}
)


def recode(clip: Clip, draw: Draw) -> EditedClip:
    """Another codec at a low quality; the picture itself is untouched."""
    codec = list(_QUALITY)[int(draw.rng.integers(len(_QUALITY)))]
    quality = round(draw.between(*_QUALITY[codec]))
    encoding = Encoding(codec=codec, quality=quality)
    return EditedClip(clip=clip, spans=whole(clip), encoding=encoding)


def applied_in_turn(edits: Sequence[Edit], clip: Clip, draw: Draw) -> EditedClip:
    """One edit after the other, their truths composed; the last coding that is set holds."""
    result = EditedClip(clip=clip, spans=whole(clip))
    for edit in edits:
        step = edit.apply(result.clip, draw)
        result = EditedClip(
            clip=step.clip,
            spans=composed(step.spans, result.spans),
            encoding=step.encoding if step.encoding != Encoding() else result.encoding,
            steps=(*result.steps, edit.name),
        )
    return result


def drawn_chain(length: int, rng: np.random.Generator) -> list[Edit]:
    """Draws `length` edits of different families, in the order of the families."""
    pool = [family for family in Family if family is not Family.MIXING]
    chosen = sorted(rng.choice(len(pool), size=length, replace=False))
    return [_any_of(pool[int(place)], rng) for place in chosen]


def _any_of(family: Family, rng: np.random.Generator) -> Edit:
    members = [edit for edit in _SINGLE if edit.family is family and not edit.needs_donor]
    return members[int(rng.integers(len(members)))]


def _chain(length: int) -> Callable[[Clip, Draw], EditedClip]:
    def apply(clip: Clip, draw: Draw) -> EditedClip:
        # Several edits at once are each weaker than one alone.
        softer = replace(draw, strength=draw.strength * 0.7)
        return applied_in_turn(drawn_chain(length, draw.rng), clip, softer)

    return apply


_SINGLE: tuple[Edit, ...] = (
    Edit(
        name="recode",
        family=Family.CODING,
        summary="H.264, HEVC, VP9 or MPEG-4 at a low quality",
        apply=recode,
    ),
    *geometric.EDITS,
    *photometric.EDITS,
    *framing.EDITS,
    *overlay.EDITS,
    *mixing.EDITS,
    *temporal.EDITS,
)
_CHAINS: tuple[Edit, ...] = tuple(
    Edit(
        name=f"chain_{length}",
        family=Family.MIXING,
        summary=f"{length} edits of different families",
        apply=_chain(length),
    )
    for length in (2, 3, 4)
)
REGISTRY: Mapping[str, Edit] = MappingProxyType({edit.name: edit for edit in (*_SINGLE, *_CHAINS)})


def find_edit(name: str) -> Edit:
    """The edit of that name; ValueError names the known ones."""
    try:
        return REGISTRY[name]
    except KeyError as exc:
        raise ValueError(f"no edit {name!r}; known: {', '.join(REGISTRY)}") from exc
