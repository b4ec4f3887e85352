"""Clips to train the comparator on: real videos, generated scenes, and pictures made into films.

Clips of one `scene` look alike without being copies of each other: hard negatives.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import cast

import numpy as np
from PIL import Image

from dubl.errors import ConfigurationError
from dubl.footage.frames import RATE_HZ, Frames
from dubl.footage.scenes import scene_frames
from dubl.footage.video_file import read_frames
from dubl.training.config import ClipSettings
from dubl.training.datasets import read_index, square

LONGEST_S = 12.0
SCENE_SIZE = (284, 160)
SHOT_FRAMES = (4, 10)
HELD_OUT_SCENES = 1_000_000  # added to the seeds of generated scenes that are held out


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A clip and what is known about it; `read` makes its frames, uint8 [T, S, S, 3]."""

    name: str
    kind: str  # video | scene | pictures
    scene: str
    source: str
    license: str
    validation: bool
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
