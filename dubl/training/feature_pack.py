"""Features of clips in several edited versions, embedded once and kept on disk.

A pack is a folder with a file per clip and `items.json`. Version 0 of a clip is the original;
version v shows the same moments in the same rows, so that changes of time can be made on features.
"""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubl.errors import ConfigurationError
from dubl.footage.edits.coding import recode
from dubl.footage.edits.edit import Edit
from dubl.footage.edits.geometric import crop
from dubl.footage.edits.registry import PICTURE_EDITS, drawn_chain
from dubl.footage.frames import STRENGTHS, Frames, edited_frames
from dubl.training.clips import Clip
from dubl.training.config import ClipSettings

logger = logging.getLogger(__name__)

Embed = Callable[[Frames], NDArray[np.float16]]  # [N,S,S,3] → region features [N,R,D]
NO_GUEST = -1
ORIGINAL = (crop, recode)  # at strength 0: as a library has it, hardly cropped, hardly compressed
MAX_EDITS = 4  # at once, of a training clip
CACHED_CLIPS = 512  # less than 1 GB: a clip is read once though it is the guest of others


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipItem:
    """What is known about a clip of a pack; `edits` [V] names what was done to each version."""

    name: str
    kind: str
    scene: str
    source: str
    license: str
    validation: bool
    edits: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFeatures:
    """Region features float16 [V,T,R,D] of the V versions of a clip.

    `guests` [V]: number of the clip that shows in a version as well, or -1.
    """

    regions: NDArray[np.float16]
    guests: NDArray[np.int64]


class FeaturePack:
    """A pack in memory: `items` and `features`, one each a clip."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigurationError when the folder holds no pack."""
        try:
            entries = json.loads((folder / "items.json").read_text(encoding="utf-8"))
            self.items = [
                ClipItem(**{**entry, "edits": tuple(entry["edits"])}) for entry in entries
            ]
            self.features = [_load(_file(folder, index)) for index in range(len(self.items))]
        except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as exc:
            raise ConfigurationError(f"{folder} holds no pack of features") from exc

    def select(self, *, validation: bool) -> NDArray[np.int64]:
        """Numbers of the clips to train on, or of those held out."""
        chosen = [i for i, item in enumerate(self.items) if item.validation is validation]
        return np.asarray(chosen, dtype=np.int64)


def build_feature_pack(
    clips: Sequence[Clip], embed: Embed, settings: ClipSettings, folder: Path, *, seed: int
) -> FeaturePack:
    """Edits and embeds all clips; clips whose file is there already are left as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    versions = _Versions(clips, settings, seed)
    items = []
    for index, clip in enumerate(clips):
        edits = versions.edits(index)
        if not _file(folder, index).is_file():
            _embed_clip(list(versions.make(index)), embed, _file(folder, index))
        items.append(
            ClipItem(
                name=clip.name,
                kind=clip.kind,
                scene=clip.scene,
                source=clip.source,
                license=clip.license,
                validation=clip.validation,
                edits=edits,
            )
        )
        if (index + 1) % 20 == 0:
            logger.info("embedded %d of %d clips", index + 1, len(clips))
    listing = json.dumps([asdict(item) for item in items], indent=1)
    (folder / "items.json").write_text(listing, encoding="utf-8")
    return FeaturePack(folder)


class _Versions:
    """Makes the versions of each clip; every draw follows from the seed and the clip's number."""

    def __init__(self, clips: Sequence[Clip], settings: ClipSettings, seed: int) -> None:
        self._clips, self._settings, self._seed = clips, settings, seed
        self._frames = lru_cache(maxsize=CACHED_CLIPS)(lambda index: self._clips[index].read())

    def edits(self, index: int) -> tuple[str, ...]:
        """What is done to each version, for the list of the pack."""
        drawn = (self._drawn(index, version) for version in range(1, self._settings.versions + 1))
        return ("original", *("+".join(edit.name for edit in edits) for edits in drawn))

    def make(self, index: int) -> Iterator[tuple[Frames, int]]:
        """Frames of each version, and the number of the guest in it or -1."""
        frames = self._frames(index)
        yield edited_frames(frames, frames, ORIGINAL, self._rng(index, 0), strength=0.0), NO_GUEST
        for version in range(1, self._settings.versions + 1):
            edits, rng = self._drawn(index, version), self._rng(index, version)
            guest = self._guest(index, rng)
            strength = float(rng.uniform(*STRENGTHS)) * self._settings.strength
            edited = edited_frames(frames, self._frames(guest), edits, rng, strength=strength)
            yield edited, guest if any(edit.needs_donor for edit in edits) else NO_GUEST

    def _drawn(self, index: int, version: int) -> Sequence[Edit]:
        """Held-out clips take turns in single edits, the others get several at once."""
        pool = list(PICTURE_EDITS.values())
        if self._clips[index].validation:
            return [pool[(index * self._settings.versions + version - 1) % len(pool)]]
        rng = self._rng(index, version, 1)
        return drawn_chain(int(rng.integers(1, MAX_EDITS + 1)), rng, pool=pool)

    def _rng(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *numbers])

    def _guest(self, index: int, rng: np.random.Generator) -> int:
        """Another clip of the same part of the split."""
        others = [
            number
            for number, clip in enumerate(self._clips)
            if clip.validation is self._clips[index].validation and number != index
        ]
        return int(rng.choice(others)) if others else index


def _embed_clip(versions: Sequence[tuple[Frames, int]], embed: Embed, path: Path) -> None:
    frames = np.concatenate([version for version, _ in versions])
    regions = embed(frames)
    shape = (len(versions), len(frames) // len(versions))
    partial = path.with_suffix(".partial.npz")
    np.savez(
        partial,
        regions=regions.reshape(*shape, *regions.shape[1:]),
        guests=np.array([guest for _, guest in versions]),
    )
    partial.replace(path)


def _load(path: Path) -> ClipFeatures:
    with np.load(path) as values:
        return ClipFeatures(regions=values["regions"], guests=values["guests"])


def _file(folder: Path, index: int) -> Path:
    return folder / f"{index:05d}.npz"
