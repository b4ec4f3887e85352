"""All edits by name, and chains of several edits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType, ModuleType

import numpy as np

from dubl.footage.clips import Clip
from dubl.footage.edits import (
    coding,
    framing,
    geometric,
    mixing,
    overlay,
    photometric,
    temporal,
    unseen,
)
from dubl.footage.edits.edit import Draw, Edit, EditedClip, Family, composed, whole
from dubl.footage.video_file import Encoding


def edits_of(module: ModuleType) -> Iterable[Edit]:
    """The edits that a module defines, in their order."""
    return (member for member in vars(module).values() if isinstance(member, Edit))


_MODULES = (coding, geometric, photometric, framing, overlay, mixing, temporal)
_SINGLE = tuple(edit for module in _MODULES for edit in edits_of(module))
_ALONE = tuple(edit for edit in _SINGLE if not edit.needs_donor)

# Edits that leave time alone: also for pictures, and for clips whose frames keep their places.
PICTURE_EDITS: Mapping[str, Edit] = MappingProxyType(
    {edit.name: edit for edit in _SINGLE if edit.family is not Family.TEMPORAL}
)


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


def drawn_chain(
    length: int, rng: np.random.Generator, *, pool: Sequence[Edit] = _ALONE
) -> list[Edit]:
    """Draws `length` edits of different families (fewer where the pool has fewer), in the order
    of the families."""
    families = [family for family in Family if any(edit.family is family for edit in pool)]
    count = min(length, len(families))
    chosen = sorted(rng.choice(len(families), size=count, replace=False))
    chain = []
    for place in chosen:
        members = [edit for edit in pool if edit.family is families[int(place)]]
        chain.append(members[int(rng.integers(len(members)))])
    return chain


def _chain(length: int) -> Edit:
    def apply(clip: Clip, draw: Draw) -> EditedClip:
        # Several edits at once are each weaker than one alone.
        softer = replace(draw, strength=draw.strength * 0.7)
        return applied_in_turn(drawn_chain(length, draw.rng), clip, softer)

    return Edit(
        name=f"chain_{length}",
        family=Family.MIXING,
        summary=f"{length} edits of different families",
        apply=apply,
    )


REGISTRY: Mapping[str, Edit] = MappingProxyType(
    {edit.name: edit for edit in (*_SINGLE, *map(_chain, (2, 3, 4)))}
)


# For measuring alone: in no chain, no training, no calibration, and in a suite only by name.
UNSEEN: Mapping[str, Edit] = MappingProxyType({edit.name: edit for edit in edits_of(unseen)})


def find_edit(name: str) -> Edit:
    """The edit of that name, also an unseen one; ValueError names the known ones."""
    known = {**REGISTRY, **UNSEEN}
    try:
        return known[name]
    except KeyError as exc:
        raise ValueError(f"unknown edit {name!r}; known: {', '.join(known)}") from exc
