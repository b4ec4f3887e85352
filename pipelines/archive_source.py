"""Contents of an archive: a folder, a glob, a list (text, CSV, Parquet) or an object-store prefix.

Archives are read as a stream and always in the same order, so an interrupted listing can be
repeated. Memory does not grow with the number of videos, only with one folder's names.
"""

from __future__ import annotations

import csv
import glob
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.request import url2pathname

import pyarrow as pa
import pyarrow.parquet as pq

from dubl.contract.forms import composed
from dubl.contract.names import plain_text
from dubl.contract.rights import RightsForm
from dubl.errors import InvalidRequest, SourceNotFound
from dubl.media.kinds import VIDEO_SUFFIXES, is_video
from pipelines.object_store import is_object_uri, list_objects, open_prefix

PLACE_COLUMNS = ("path", "link", "uri")
FILE_SCHEME = "file://"
LIST_HEAD_BYTES = 64 * 1024  # of a text list, searched for binary data; chosen
PARQUET_ROWS = 1024
ESCAPED_ID_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveItem:
    """A video to be registered under `id`.

    `path` is a file's path, an http(s) link or an object's address. Non-UTF-8 names keep surrogate
    escapes in `path`; `id`, `title` and `shown` are plain text. `rights` are the unparsed value of
    the list, so that a wrong one becomes a failure.
    """

    id: str
    path: str
    title: str = ""
    owner: str = ""
    rights: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", composed(self.id))  # as ids in addresses are

    @property
    def shown(self) -> str:
        """The path as text that can be stored and printed."""
        return plain_text(self.path)


def open_archive(source: str, *, id_prefix: str = "") -> Archive:
    """The videos of an archive, which can be iterated repeatedly.

    The id is the UUID in the file name if there is one, else the path relative to the archive,
    after `id_prefix`. So the same archive always gives the same ids. Raises SourceNotFound,
    SourceUnreachable, InvalidRequest.
    """
    if source.startswith(FILE_SCHEME):
        source = url2pathname(source.removeprefix(FILE_SCHEME))
    if is_object_uri(source):
        open_prefix(source)  # says now what is wrong with it
    elif not (Path(source).exists() or glob.has_magic(source)):
        raise SourceNotFound(f"{plain_text(source)} is not a folder, list or bucket")
    else:
        _require_archive(Path(source))
    return Archive(source, id_prefix=id_prefix)


def _require_archive(place: Path) -> None:
    """Raises InvalidRequest for a single video, other binary data, or a folder without a video."""
    if place.is_dir():
        if next(Archive(str(place))._walk(place), None) is None:
            raise InvalidRequest(f"{plain_text(str(place))} contains no video. Is it mounted?")
    elif place.is_file() and place.suffix.lower() not in _READERS:
        with place.open("rb") as file:
            binary = b"\0" in file.read(LIST_HEAD_BYTES)
        if binary or is_video(place):
            raise InvalidRequest(
                f"{plain_text(str(place))} is not a list of videos. Give its folder, or register a "
                "single video with `dubl references add`."
            )


class Archive:
    """The videos of an archive. `passed_over`: other files that the last reading has seen, in a
    folder or a bucket."""

    def __init__(self, source: str, *, id_prefix: str = "") -> None:
        self._source = source
        self._id_prefix = id_prefix
        self.passed_over = 0

    def __iter__(self) -> Iterator[ArchiveItem]:
        self.passed_over = 0
        for item in self._items():
            yield replace(item, id=self._id_prefix + item.id)

    def _items(self) -> Iterator[ArchiveItem]:
        if is_object_uri(self._source):
            return self._bucket_items(self._source)
        place = Path(self._source)
        if place.is_dir():
            return (_file_item(path, place) for path in self._walk(place))
        if not place.is_file():
            root = _fixed_part(self._source)
            found = root.glob(str(Path(self._source).relative_to(root)))
            return (_file_item(path, root) for path in sorted(found) if path.is_file())
        return _listed_items(place)

    def _walk(self, folder: Path) -> Iterator[Path]:
        """Videos below a folder. An unreadable folder is returned itself, so that it becomes a
        failure."""
        try:
            with os.scandir(folder) as entries:
                found = sorted(
                    (entry.name, entry.is_dir(follow_symlinks=False), entry.is_file())
                    for entry in entries
                )
        except OSError:
            yield folder
            return
        for name, is_folder, is_file in found:
            if is_folder:
                yield from self._walk(folder / name)
            elif is_file and is_video(folder / name):
                yield folder / name
            else:
                self.passed_over += 1

    def _bucket_items(self, uri: str) -> Iterator[ArchiveItem]:
        """By suffix alone: each look into an object is a request."""
        for path, key in list_objects(uri):
            if PurePosixPath(key).suffix.lower() in VIDEO_SUFFIXES:
                yield ArchiveItem(id=_uuid_of(key) or key, path=path)
            else:
                self.passed_over += 1


def _fixed_part(pattern: str) -> Path:
    """The folder before the first wildcard of a glob."""
    parts = []
    for part in Path(pattern).parts:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)


def _listed_items(place: Path) -> Iterator[ArchiveItem]:
    rows = _READERS.get(place.suffix.lower(), _text_rows)(place)
    for row in rows:
        where = next((row[name] for name in PLACE_COLUMNS if row.get(name)), "")
        if where:
            item = _listed_item(where, place.parent)
            yield ArchiveItem(
                id=_text(row, "id") or item.id,
                path=item.path,
                title=_text(row, "title"),
                owner=_text(row, "owner"),
                rights={name: row[name] for name in RightsForm.model_fields if row.get(name)},
            )


def _listed_item(where: str, root: Path) -> ArchiveItem:
    if where.startswith(("http://", "https://")) or is_object_uri(where):
        where = plain_text(where)
        return ArchiveItem(id=_uuid_of(where.partition("?")[0]) or where, path=where)
    return _file_item(root / where, root)


def _text(row: Mapping[str, object], name: str) -> str:
    """The text of a list's value, in any type and encoding."""
    value = row.get(name)
    return "" if value is None else plain_text(str(value))


def _text_rows(place: Path) -> Iterator[Mapping[str, str]]:
    with place.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        for line in lines:
            yield {"path": line.strip("\r\n")}


def _csv_rows(place: Path) -> Iterator[Mapping[str, str]]:
    with place.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        reader = csv.DictReader(lines)
        _require_place(reader.fieldnames or [], place)
        yield from reader


def _parquet_rows(place: Path) -> Iterator[Mapping[str, str]]:
    try:
        with pq.ParquetFile(place) as file:
            _require_place(file.schema_arrow.names, place)
            for batch in file.iter_batches(batch_size=PARQUET_ROWS):
                yield from batch.to_pylist()
    except pa.ArrowException as exc:
        raise InvalidRequest(f"{place} is not a readable Parquet file: {exc}") from exc


_READERS = {".csv": _csv_rows, ".parquet": _parquet_rows}


def _require_place(columns: Iterable[str], place: Path) -> None:
    if not set(PLACE_COLUMNS) & set(columns):
        raise InvalidRequest(f"{place} must have one of the columns {', '.join(PLACE_COLUMNS)}")


def _file_item(path: Path, root: Path) -> ArchiveItem:
    inside = path.is_relative_to(root)
    name = path.relative_to(root).as_posix() if inside else path.as_posix()
    return ArchiveItem(id=_uuid_of(name) or _id_of(name), path=str(path.absolute()))


def _id_of(name: str) -> str:
    """The name; a non-UTF-8 name gets digits of its bytes, to stay distinct."""
    shown = plain_text(name)
    if shown == name:
        return name
    digits = hashlib.sha256(os.fsencode(name)).hexdigest()[:ESCAPED_ID_DIGITS]
    return f"{shown}#{digits}"


def _uuid_of(name: str) -> str:
    try:
        return str(uuid.UUID(PurePosixPath(name).stem))
    except ValueError:
        return ""
