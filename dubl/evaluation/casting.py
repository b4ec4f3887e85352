"""Who plays what in an attack suite: references, strangers, sources of hard negatives."""

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
class Cast:
    """Each video plays one part.

    references: the library, of which copies are made. strangers: queries that match nothing;
    they also lend the foreign footage of splices and insets. negatives: cut up for hard negatives.
    """

    references: tuple[Path, ...]
    strangers: tuple[Path, ...] = ()
    negatives: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        everyone = [*self.references, *self.strangers, *self.negatives]
        if len(set(everyone)) != len(everyone):
            raise InvalidRequest(
                "a video is a reference, a stranger or a negative, not two of them"
            )
        if not self.references:
            raise InvalidRequest("an attack suite needs at least one reference")


def find_videos(folder: Path) -> list[Path]:
    """All video files below `folder`, by their suffix, in order of path."""
    if not folder.is_dir():
        raise NotFound(f"{folder} is no folder")
    found = (path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    return sorted(path for path in found if path.is_file())


def drawn_cast(
    videos: Sequence[Path], *, stranger_share: float, negative_share: float, seed: int
) -> Cast:
    """Deals the videos out by chance: shares for strangers and negatives, the rest references."""
    if stranger_share < 0 or negative_share < 0 or stranger_share + negative_share >= 1:
        raise InvalidRequest("the shares of strangers and negatives must leave room for references")
    rng = np.random.default_rng([seed, 0xCA57])
    shuffled = [videos[place] for place in rng.permutation(len(videos))]
    strangers = round(len(videos) * stranger_share)
    negatives = round(len(videos) * negative_share)
    return Cast(
        strangers=tuple(shuffled[:strangers]),
        negatives=tuple(shuffled[strangers : strangers + negatives]),
        references=tuple(shuffled[strangers + negatives :]),
    )
