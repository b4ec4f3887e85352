"""What an archive holds: a folder of videos, or a text file with a path a line."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dubl.errors import SourceNotFound
from dubl.evaluation.casting import find_videos


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveItem:
    """A video to be registered under `id`."""

    id: str
    path: str


def list_archive(source: Path) -> list[ArchiveItem]:
    """Videos in order of their ids, each path once.

    The id is the file name's uuid where it is one, else the path relative to the archive, so that
    the same archive gives the same ids whenever it is read. Raises SourceNotFound.
    """
    if source.is_dir():
        paths: Iterable[Path] = find_videos(source)
        root = source
    elif source.is_file():
        lines = source.read_text(encoding="utf-8").splitlines()
        paths = (source.parent / line.strip() for line in lines if line.strip())
        root = source.parent
    else:
        raise SourceNotFound(f"there is no folder or list {source}")
    items = {path: ArchiveItem(id=_id_of(path, root), path=str(path.absolute())) for path in paths}
    return sorted(items.values(), key=lambda item: item.id)


def _id_of(path: Path, root: Path) -> str:
    try:
        return str(uuid.UUID(path.stem))
    except ValueError:
        inside = path.is_relative_to(root)
        return path.relative_to(root).as_posix() if inside else path.as_posix()
