"""Clips to train the comparator on: real videos, generated scenes, and pictures made into films.

Clips of one `scene` look alike without being copies of each other: hard negatives.
"""

from __future__ import annotations

import io
import json
import logging
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubl.errors import ConfigurationError
from dubl.footage.edits.coding import recode
from dubl.footage.edits.edit import Edit
from dubl.footage.edits.geometric import crop
from dubl.footage.edits.registry import PICTURE_EDITS, drawn_chain
from dubl.footage.frames import RATE_HZ, STRENGTHS, Frames, edited_frames
from dubl.footage.scenes import scene_frames
from dubl.footage.video_file import read_frames
from dubl.training.config import ClipSettings
from dubl.training.datasets import read_index, square

logger = logging.getLogger(__name__)

LONGEST_S = 12.0
SCENE_SIZE = (284, 160)
SHOT_FRAMES = (4, 10)
HELD_OUT_SCENES = 1_000_000  # added to the seeds of generated scenes that are held out


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """What is known about a clip."""

    name: str
    kind: str  # video | scene | pictures
    scene: str
    source: str
    license: str
    validation: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip(ClipFacts):
    """A clip; `read` makes its frames, uint8 [T, S, S, 3]."""

    read: Callable[[], Frames] = field(repr=False, compare=False)


def list_clips(settings: ClipSettings, *, size: int, seed: int) -> list[Clip]:
    """All clips of the sources, squashed to `size`, the same for the same seed."""
    clips = [
        *(_videos(settings, size) if settings.videos is not None else ()),
        *_scenes(settings, size, seed, validation=False),
        *_scenes(settings, size, seed + HELD_OUT_SCENES, validation=True),
        *(_picture_clips(settings, size, seed) if settings.images is not None else ()),
    ]
    if not clips:
        raise ConfigurationError("no clip is left: check the sources and the license filter")
    return clips


def _videos(settings: ClipSettings, size: int) -> Iterator[Clip]:
    folder = cast(Path, settings.videos)
    keeps = settings.licenses.keeps
    for entry in read_index(folder / "manifest.json"):
        if entry["split"] != "train" or not keeps(entry["licence"]):
            continue
        path, duration_s = folder / entry["file"], float(entry["duration_s"])
        yield Clip(
            name=f"video/{entry['id']}",
            kind="video",
            scene=entry["scene_group"] or entry["source_repo"],
            source=entry["source_repo"],
            license=entry["licence"],
            validation=entry["source_repo"] in settings.validation_repositories,
            read=partial(_video_frames, path, duration_s, settings, size),
        )


def _video_frames(path: Path, duration_s: float, settings: ClipSettings, size: int) -> Frames:
    """The clip's beginning at 2 frames a second, denser where that gives too few."""
    rate_hz = max(RATE_HZ, settings.min_frames / max(duration_s, 0.1))
    kept: list[Frames] = []
    for frame in read_frames(path):
        if frame.time_s * rate_hz >= len(kept) - 1e-6:
            kept.append(square(Image.fromarray(frame.image), size))
        if len(kept) == settings.max_frames:
            break
    return _at_least(np.stack(kept), settings.min_frames)


def _scenes(settings: ClipSettings, size: int, seed: int, *, validation: bool) -> Iterator[Clip]:
    count = settings.validation_scenes if validation else settings.scenes
    for number in range(seed * 10_000, seed * 10_000 + count):
        yield Clip(
            name=f"scene/{number}",
            kind="scene",
            scene="scenes",
            source="generated scenes",
            license="none needed",
            validation=validation,
            read=partial(_scene_frames, number, size),
        )


def _scene_frames(number: int, size: int) -> Frames:
    painted = scene_frames(seed=number, duration_s=LONGEST_S, size=SCENE_SIZE, frame_rate=RATE_HZ)
    return np.stack([square(Image.fromarray(frame.image), size) for frame in painted])


def _picture_clips(settings: ClipSettings, size: int, seed: int) -> Iterator[Clip]:
    """Films of several pictures of one folder each; a picture shows in one film alone."""
    archive = cast(Path, settings.images)
    keeps = settings.licenses.keeps
    folders: dict[str, list[dict[str, str]]] = {}
    for entry in read_index(archive.with_suffix(".json")):
        if keeps(entry["licence"]):
            folder = f"{entry['source_repo']}/{PurePosixPath(entry['source_path']).parent}"
            folders.setdefault(folder, []).append(entry)
    rng = np.random.default_rng([seed, 0xF11])
    films: list[tuple[str, list[dict[str, str]]]] = []
    for folder, entries in sorted(folders.items()):
        order = [entries[place] for place in rng.permutation(len(entries))]
        while len(order) >= 3:
            count = int(rng.integers(3, 6))
            films.append((folder, order[:count]))
            del order[:count]
    chosen = [films[place] for place in rng.permutation(len(films))[: settings.picture_clips]]
    for number, (folder, entries) in enumerate(chosen):
        names = [entry["file"] for entry in entries]
        yield Clip(
            name=f"pictures/{names[0]}",
            kind="pictures",
            scene=folder,
            source=entries[0]["source_repo"],
            license=entries[0]["licence"],
            validation=zlib.crc32(folder.encode()) % 1000 < settings.validation_share * 1000,
            read=partial(_film, archive, names, [seed, number], size),
        )


def read_pictures(archive: Path, names: Sequence[str]) -> list[Image.Image]:
    """Pictures of a tar by file name, in the order of `names`."""
    found: dict[str, Image.Image] = {}
    wanted = set(names)
    with tarfile.open(archive) as tar:
        for member in tar:
            name = PurePosixPath(member.name).name
            content = tar.extractfile(member) if name in wanted else None
            if content is not None:
                found[name] = Image.open(io.BytesIO(content.read())).convert("RGB")
            if len(found) == len(wanted):
                break
    return [found[name] for name in names]


def _film(archive: Path, names: Sequence[str], seed: Sequence[int], size: int) -> Frames:
    """A shot of each picture: the camera pans and zooms over it. At most 12 s."""
    rng = np.random.default_rng(seed)
    frames: list[Frames] = []
    for picture in read_pictures(archive, names):
        ways = rng.uniform((0.0, 0.0, 0.55), (1.0, 1.0, 0.95), (2, 3))
        count = int(rng.integers(*SHOT_FRAMES))
        for part in np.linspace(0, 1, count):
            x, y, share = ways[0] + (ways[1] - ways[0]) * part
            width, height = picture.width * share, picture.height * share
            left, top = (picture.width - width) * x, (picture.height - height) * y
            frames.append(square(picture, size, (left, top, left + width, top + height)))
    return np.stack(frames[: int(LONGEST_S * RATE_HZ)])


def _at_least(frames: Frames, count: int) -> Frames:
    """Repeats the last frame where a clip holds fewer frames than its duration promised."""
    missing = max(count - len(frames), 0)
    return np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])


Embed = Callable[[Frames], NDArray[np.float16]]  # [N,S,S,3] → region features [N,R,D]
NO_GUEST = -1
ORIGINAL = (crop, recode)  # at strength 0: as a library has it, hardly cropped, hardly compressed
MAX_EDITS = 4  # at once, of a training clip
CACHED_CLIPS = 512  # less than 1 GB: a clip is read once though it is the guest of others


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipItem(ClipFacts):
    """A clip of a pack; `edits` [V] names what was done to each version."""

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
        known = {one.name: getattr(clip, one.name) for one in fields(ClipFacts)}
        items.append(ClipItem(**known, edits=edits))
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
