"""The training pictures: one packed file of squares, and what is known about each of them.

A pack is a folder with `pictures.npy`, uint8 [N, S, S, 3], read through a memory map, and
`items.json`. Pictures of one `group` may show the same moment and are never negatives of each
other; pictures of one `scene` look alike without being copies: hard negatives.
"""

from __future__ import annotations

import io
import json
import logging
import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubl.errors import ConfigurationError
from dubl.footage.textures import procedural_picture

logger = logging.getLogger(__name__)

Pictures = NDArray[np.uint8]
MIN_DIFFERENCE = 4.0  # mean absolute gray levels between two frames of a clip that are both kept
MIN_DEVIATION = 10.0  # gray levels; a flatter frame shows nothing that could be recognized


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One picture of a pack: where it comes from, under which license, and its groups."""

    kind: str  # image | frame | procedural
    source: str
    license: str
    group: str
    scene: str
    validation: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseFilter:
    """Keeps a picture when its license matches an `allow` pattern (all, if none) and no `deny`."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def keeps(self, text: str) -> bool:
        """Patterns are regular expressions, searched in the license field, without case."""
        allowed = not self.allow or any(re.search(p, text, re.IGNORECASE) for p in self.allow)
        return allowed and not any(re.search(p, text, re.IGNORECASE) for p in self.deny)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What goes into a pack. Clips of a split other than `train` stay out."""

    images: Path | None = None  # tar of JPEG pictures, its index beside it: NAME.json
    videos: Path | None = None  # folder with manifest.json
    procedural: int = 0
    size: int = 160
    frames_per_s: float = 2.0
    max_frames_per_clip: int = 40
    licenses: LicenseFilter = LicenseFilter()
    validation_repositories: tuple[str, ...] = ()
    validation_share: float = 0.1
    seed: int = 0


class Pack:
    """A packed picture file: `pictures` uint8 [N, S, S, 3] (memory map) and `items`, N of them."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigurationError when the folder holds no pack."""
        try:
            self.pictures: Pictures = np.load(folder / "pictures.npy", mmap_mode="r")
            entries = json.loads((folder / "items.json").read_text(encoding="utf-8"))
            self.items = [Item(**entry) for entry in entries]
        except (OSError, ValueError, TypeError) as exc:
            raise ConfigurationError(f"{folder} holds no pack of training pictures") from exc

    def select(self, *, validation: bool) -> NDArray[np.int64]:
        """Indices of the pictures to train on, or of those held out."""
        chosen = [i for i, item in enumerate(self.items) if item.validation is validation]
        return np.asarray(chosen, dtype=np.int64)


def build_pack(sources: Sources, folder: Path) -> Pack:
    """Reads all sources once and writes the pack. Raises ConfigurationError without pictures."""
    items, pictures = [], []
    for item, picture in _all_pictures(sources):
        items.append(item)
        pictures.append(picture)
    if not items:
        raise ConfigurationError("no picture is left: check the sources and the license filter")
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "pictures.npy", np.stack(pictures))
    listing = json.dumps([asdict(item) for item in items])
    (folder / "items.json").write_text(listing, encoding="utf-8")
    logger.info("packed %d pictures into %s", len(items), folder)
    return Pack(folder)


def license_summary(items: Sequence[Item]) -> list[dict[str, str | int]]:
    """Counts by source and license, as a model card lists them, largest first."""
    counts: dict[tuple[str, str, str], int] = {}
    for item in items:
        key = (item.source, item.license, item.kind)
        counts[key] = counts.get(key, 0) + 1
    ordered = sorted(counts.items(), key=lambda entry: -entry[1])
    return [
        {"source": source, "license": text, "kind": kind, "pictures": count}
        for (source, text, kind), count in ordered
    ]


def _all_pictures(sources: Sources) -> Iterator[tuple[Item, Pictures]]:
    if sources.images is not None:
        yield from _images(sources, sources.images)
    if sources.videos is not None:
        yield from _frames(sources, sources.videos)
    rng = np.random.default_rng(sources.seed)
    for index in range(sources.procedural):
        item = Item(
            kind="procedural",
            source="made by rules",
            license="none needed",
            group=f"procedural/{index}",
            scene="procedural",
            validation=False,
        )
        yield item, procedural_picture(rng, size=sources.size)


def _read_json(path: Path) -> list[dict[str, str]]:
    try:
        return cast(list[dict[str, str]], json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as exc:
        raise ConfigurationError(f"{path} is not a readable index of pictures") from exc


def _images(sources: Sources, archive: Path) -> Iterator[tuple[Item, Pictures]]:
    entries = {entry["file"]: entry for entry in _read_json(archive.with_suffix(".json"))}
    with tarfile.open(archive) as pictures:
        for member in pictures:
            entry = entries.get(PurePosixPath(member.name).name)
            content = pictures.extractfile(member) if entry else None
            if entry is None or content is None or not sources.licenses.keeps(entry["licence"]):
                continue
            with Image.open(io.BytesIO(content.read())) as image:
                yield _image_item(entry, sources), _square(image, sources.size)


def _image_item(entry: dict[str, str], sources: Sources) -> Item:
    source = entry["source_repo"]
    path = PurePosixPath(entry["source_path"])
    return Item(
        kind="image",
        source=source,
        license=entry["licence"],
        group=f"{source}/{path}",
        scene=f"{source}/{path.parent}",
        validation=_held_out(f"{source}/{path}", sources.validation_share),
    )


def _frames(sources: Sources, folder: Path) -> Iterator[tuple[Item, Pictures]]:
    for clip in _read_json(folder / "manifest.json"):
        if clip["split"] != "train" or not sources.licenses.keeps(clip["licence"]):
            continue
        item = Item(
            kind="frame",
            source=clip["source_repo"],
            license=clip["licence"],
            group=f"clip/{clip['id']}",
            scene=f"clips/{clip['scene_group'] or clip['source_repo']}",
            validation=clip["source_repo"] in sources.validation_repositories,
        )
        for frame in _sampled_frames(folder / clip["file"], sources):
            yield item, frame


def _sampled_frames(path: Path, sources: Sources) -> Iterator[Pictures]:
    """Frames at the sampling rate that differ from the one kept before."""
    kept: Pictures | None = None
    count, due = 0, Fraction(0)
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                if Fraction(frame.time or 0) < due or count >= sources.max_frames_per_clip:
                    continue
                due = Fraction(frame.time or 0) + Fraction(1 / sources.frames_per_s)
                picture = _square(frame.to_image(), sources.size)
                if picture.std() < MIN_DEVIATION:
                    continue
                if kept is None or _difference(picture, kept) >= MIN_DIFFERENCE:
                    kept, count = picture, count + 1
                    yield picture
    except (av.error.FFmpegError, OSError) as exc:
        raise ConfigurationError(f"{path} cannot be decoded") from exc


def _difference(one: Pictures, other: Pictures) -> float:
    return float(np.abs(one.astype(np.float32) - other).mean())


def _square(image: Image.Image, size: int) -> Pictures:
    resized = image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized, dtype=np.uint8).copy()


def _held_out(name: str, share: float) -> bool:
    """The same pictures in every run, whatever else is in the pack."""
    return zlib.crc32(name.encode()) % 1000 < share * 1000
