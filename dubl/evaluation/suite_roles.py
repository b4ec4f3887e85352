"""The roles of videos in an attack suite: references, strangers, sources of hard negatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubl.errors import InvalidRequest, NotFound

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mkv", ".webm", ".avi", ".mov", ".wmv", ".m4v", ".ts", ".flv", ".mpg", ".mpeg"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRoles:
    """The role of each video; each has exactly one.

    references: the library, from which copies are made. strangers: queries that match nothing,
    which also provide foreign footage for splices and insets. negatives: sources of hard negatives.
    """

    references: tuple[Path, ...]
    strangers: tuple[Path, ...] = ()
    negatives: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        everyone = [*self.references, *self.strangers, *self.negatives]
        if len(set(everyone)) != len(everyone):
            raise InvalidRequest("a video must be only one of reference, stranger and negative")
        if not self.references:
            raise InvalidRequest("an attack suite needs at least one reference")


def find_videos(folder: Path) -> list[Path]:
    """All video files below `folder`, by their suffix, in order of path."""
    if not folder.is_dir():
        raise NotFound(f"{folder} is not a folder")
    found = (path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    return sorted(path for path in found if path.is_file())


def draw_roles(
    videos: Sequence[Path], *, stranger_share: float, negative_share: float, seed: int
) -> SuiteRoles:
    """Assigns roles at random: shares for strangers and negatives, the rest are references."""
    if stranger_share < 0 or negative_share < 0 or stranger_share + negative_share >= 1:
        raise InvalidRequest("the shares of strangers and negatives must leave room for references")
    rng = np.random.default_rng([seed, 0xCA57])
    shuffled = [videos[place] for place in rng.permutation(len(videos))]
    strangers = round(len(videos) * stranger_share)
    negatives = round(len(videos) * negative_share)
    return SuiteRoles(
        strangers=tuple(shuffled[:strangers]),
        negatives=tuple(shuffled[strangers : strangers + negatives]),
        references=tuple(shuffled[strangers + negatives :]),
    )
