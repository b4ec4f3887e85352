"""A library of real clips whose strangers are known, in folders with a manifest.json each.

A manifest is a list of {"id", "file", "split", "kind", "scene_group"}: clips of one scene group
show one place, person or screen without being copies of one another. No clip copies another one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from dubl.errors import InvalidRequest

MANIFEST = "manifest.json"
TRAIN = "train"  # split of clips that something was fitted to; they are not asked about


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    file: str
    split: str
    kind: str = ""
    scene_group: str | None = None


_Manifest = TypeAdapter(list[_Record])


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryClip:
    """A clip of the library; `group`: its scene group, empty for none."""

    id: str
    path: Path
    split: str
    kind: str
    group: str

    @property
    def is_asked(self) -> bool:
        return self.split != TRAIN


def read_clips(folders: Iterable[Path]) -> list[LibraryClip]:
    """The clips of all manifests. Raises InvalidRequest."""
    clips = [clip for folder in folders for clip in _read(folder)]
    if len({clip.id for clip in clips}) != len(clips):
        raise InvalidRequest("two clips of the library have one id")
    return clips


def _read(folder: Path) -> list[LibraryClip]:
    path = folder / MANIFEST
    try:
        records = _Manifest.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as exc:
        raise InvalidRequest(f"{path} is no manifest of clips: {exc}") from exc
    return [
        LibraryClip(
            id=one.id,
            path=folder / one.file,
            split=one.split,
            kind=one.kind,
            group=one.scene_group or "",
        )
        for one in records
    ]


def left_out(clips: Sequence[LibraryClip]) -> Mapping[str, tuple[str, ...]]:
    """By clip: the ids that it is not compared with, itself and its scene group."""
    groups: dict[str, list[str]] = {}
    for clip in clips:
        groups.setdefault(clip.group or clip.id, []).append(clip.id)
    return {clip.id: tuple(groups[clip.group or clip.id]) for clip in clips}


def in_steps(
    clips: Sequence[LibraryClip], sizes: Sequence[int], *, first: Iterable[str], seed: int = 0
) -> dict[str, int]:
    """By clip: the smallest of `sizes` (ascending) that a growing library has when it holds the
    clip. `first`: ids that come first, as copies of them are asked about. The others come in an
    order that follows from the seed. The last size is that of all clips."""
    early = set(first)
    order = np.random.default_rng(seed).permutation(len(clips))
    shuffled = sorted((clips[place] for place in order), key=lambda clip: clip.id not in early)
    steps = [*(size for size in sizes if size < len(clips)), len(clips)]
    return {
        clip.id: next(size for size in steps if place < size) for place, clip in enumerate(shuffled)
    }
