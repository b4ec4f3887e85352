"""Stages of the indexing job for Ray Data: the steps of the service, wrapped.

Every stage returns blocks of one row. So a clip moves on as soon as it is decoded, and the number
of waiting clips is bounded. Rows hold pickled domain objects, which Arrow keeps as bytes.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray import ObjectRef
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from dubl.assembly import (
    make_decoder,
    make_embedder,
    make_fingerprint_reader,
    reference_sampling,
    registered_sampling,
)
from dubl.contract.names import plain_text
from dubl.contract.rights import parse_rights
from dubl.errors import DecoderCrashed, DublError, SourceNotFound
from dubl.index.keys import KnownKeys
from dubl.media.fingerprints import Fingerprint
from dubl.media.kinds import is_fingerprint
from dubl.media.links import fetch_link
from dubl.media.sources import hash_file
from dubl.media.spool import Spool, too_large
from dubl.settings import Settings
from dubl.types import FrameClip, Sampling, VideoSource
from pipelines.archive_source import Archive, ArchiveItem
from pipelines.object_store import fetch_object, is_object_uri

Row = dict[str, object]
Batch = dict[str, np.ndarray]
Problem = tuple[str, str]

EMBED_BATCH = 4
PACKED_ITEMS = 8
# While fewer are listed, a pack is a single video, so that all decoders have work at once.
SINGLE_ITEMS = 256


class Listing(Datasource):  # type: ignore[misc]  # Ray has no types
    """Rows {"items": pickled list of ArchiveItem, "present", "elsewhere", "passed_over"}.

    `present`: videos skipped since the previous row because their id is in the library;
    `elsewhere`: those of them registered from another place; `passed_over`, in the last row: files
    that are no videos. The listing is read during the job. A
    restarted worker reads it again and gets the same rows, as `known` is fixed.
    """

    def __init__(self, archive: Archive, known: ObjectRef[KnownKeys]) -> None:
        self._archive = archive
        self._known = known

    def get_name(self) -> str:
        return "Archive"

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(
        self,
        parallelism: int,  # noqa: ARG002  # one task: a listing has one order
        per_task_row_limit: int | None = None,
        data_context: object = None,  # noqa: ARG002
    ) -> list[ReadTask]:
        archive, known = self._archive, self._known

        def read() -> Iterator[pa.Table]:
            yield from packs(archive, ray.get(known))
            yield _pack([], passed_over=archive.passed_over)

        metadata = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(read, metadata, per_task_row_limit=per_task_row_limit)]


def packs(items: Iterable[ArchiveItem], known: KnownKeys) -> Iterator[pa.Table]:
    pack: list[ArchiveItem] = []
    listed = present = elsewhere = 0
    for item in items:
        if known.has_id(item.id) and not known.is_unheard(item.id):
            present += 1
            elsewhere += not known.has_place(item.id, item.shown)
            continue
        pack.append(item)
        listed += 1
        if len(pack) == PACKED_ITEMS or listed <= SINGLE_ITEMS:
            yield _pack(pack, present, elsewhere)
            pack, present, elsewhere = [], 0, 0
    yield _pack(pack, present, elsewhere)


def _pack(
    items: list[ArchiveItem], present: int = 0, elsewhere: int = 0, passed_over: int = 0
) -> pa.Table:
    counts = {"present": [present], "elsewhere": [elsewhere], "passed_over": [passed_over]}
    return pa.table({"items": [pickle.dumps(items)], **counts})


class DecodeStage:
    """A row of the listing → one row for each video: "item", "source", "facts", "clip" or "error",
    pickled.

    A video whose bytes are in the library is not decoded and has an empty "clip". So has the first
    row of each pack, which has no "item" and carries the counts. Of a reference whose sound was
    never listened to, the clip has one picture and the sound.
    """

    def __init__(self, settings: Settings, known: KnownKeys, library: str) -> None:
        self._settings = settings
        self._known = known
        self._library = library
        self._decoder = make_decoder(settings)
        self._sampling = reference_sampling(settings)
        self._read = make_fingerprint_reader(settings)

    def __call__(self, row: Row) -> Iterator[Row]:
        items: list[ArchiveItem] = loaded(row["items"])
        if row["present"] or row["passed_over"]:
            yield _row(
                present=row["present"], elsewhere=row["elsewhere"], passed_over=row["passed_over"]
            )
        for item in items:
            yield self._decoded(item)

    def _decoded(self, item: ArchiveItem) -> Row:
        try:
            rights = parse_rights(item.rights)
            with opened(item.path, self._settings) as source:
                known = self._known.has_content(self._library, source.sha256)
                if known and self._known.is_unheard(item.id):
                    sampling = replace(self._sampling, min_frames=1, times_s=(0.0,))
                    return _row(item=item, source=source, clip=self._clip(source, sampling))
                if known or self._known.has_id(item.id):
                    return _row(item=item, source=source)
                sampling = registered_sampling(
                    self._sampling, self._settings, library=self._library, rights=rights
                )
                return _row(item=item, source=source, clip=self._clip(source, sampling))
        except DublError as exc:
            return _row(item=item, error=(exc.code, exc.detail))

    def _clip(self, source: VideoSource, sampling: Sampling) -> FrameClip | Fingerprint:
        if source.fingerprint:
            return self._read(source.path, sampling=self._sampling)
        try:
            return self._decoder.decode(source, sampling=sampling)
        except DecoderCrashed:
            # Perhaps the process was killed for somebody else's memory; a bad file does it twice.
            return self._decoder.decode(source, sampling=sampling)


class SharingDecodeStage(DecodeStage):
    """Decoders of a node share the known keys in its object memory."""

    def __init__(self, settings: Settings, known: ObjectRef[KnownKeys], library: str) -> None:
        super().__init__(settings, ray.get(known), library)


class EmbedStage:
    """Replaces "clip" by "features", pickled."""

    def __init__(self, settings: Settings) -> None:
        self._embedder = make_embedder(settings)

    def __call__(self, batch: Batch) -> Batch:
        clips = batch.pop("clip")
        readable = [index for index, clip in enumerate(clips) if clip]
        loaded = {index: pickle.loads(clips[index]) for index in readable}
        features = np.full(len(clips), b"", dtype=object)
        for index, one in loaded.items():
            if isinstance(one, Fingerprint):
                features[index] = pickle.dumps(one.features)
        shown = {index: one for index, one in loaded.items() if not features[index]}
        described = self._embedder.embed([*shown.values()])
        for index, one in zip(shown, described, strict=True):
            features[index] = pickle.dumps(one)
        return batch | {"features": features}


def _row(
    *,
    item: ArchiveItem | None = None,
    source: VideoSource | None = None,
    clip: FrameClip | Fingerprint | None = None,
    error: Problem | None = None,
    present: object = 0,
    elsewhere: object = 0,
    passed_over: object = 0,
) -> Row:
    return {
        "item": _pickled(item),
        "source": _pickled(source),
        "facts": _pickled(clip and clip.facts),
        "clip": _pickled(clip),
        "error": _pickled(error),
        "present": present,
        "elsewhere": elsewhere,
        "passed_over": passed_over,
    }


def _pickled(value: object) -> bytes:
    return b"" if value is None else pickle.dumps(value, protocol=5)


def loaded(value: object) -> Any:  # a stage's rows are as the one before made them
    assert isinstance(value, bytes)
    return pickle.loads(value)


@contextmanager
def opened(path: str, settings: Settings) -> Iterator[VideoSource]:
    """The video's file; what was fetched is removed afterwards. Raises SourceError."""
    spool = Spool(settings.spool_dir, settings.media.max_size_bytes)
    if path.startswith(("http://", "https://")):
        source = fetch_link(path, spool_dir=settings.spool_dir, settings=settings.media)
    elif is_object_uri(path):
        source = fetch_object(path, spool, name=path)
    else:
        yield _local_file(path, settings.media.max_size_bytes)
        return
    try:
        yield replace(source, name=plain_text(path))
    finally:
        spool.remove(source)


def _local_file(path: str, max_size_bytes: int) -> VideoSource:
    file = Path(path)
    try:
        size_bytes = file.stat().st_size
        if not file.is_file():  # a pipe or a device would never end
            raise SourceNotFound("the path is not a file")
    except (OSError, ValueError) as exc:
        raise SourceNotFound(f"the file cannot be read: {exc}") from exc
    if size_bytes > max_size_bytes:
        raise too_large(max_size_bytes)
    return VideoSource(
        path=path,
        sha256=hash_file(file),
        size_bytes=size_bytes,
        name=plain_text(path),
        fingerprint=is_fingerprint(file),
    )
