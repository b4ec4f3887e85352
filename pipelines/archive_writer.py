"""The single writer of an indexing job: collects rows, commits them together, counts them."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from dubl.contract.rights import parse_rights
from dubl.index.keys import KnownKeys
from dubl.index.spaces import fill
from dubl.index.store import Entry, Failure, LibraryStore
from dubl.types import ReferenceDraft, SoundFeatures, VideoFacts, VideoFeatures, VideoSource
from pipelines.archive_source import ArchiveItem
from pipelines.archive_stages import loaded

logger = logging.getLogger(__name__)

# Features of films are large, and what is not written yet is lost with the job.
BATCH_BYTES = 64 << 20
BATCH_S = 10.0


@dataclass(slots=True, kw_only=True)
class Counts:
    """Of the videos that have come to the writer so far."""

    present: int = 0
    elsewhere: int = 0
    passed_over: int = 0
    registered: int = 0
    repeated: int = 0
    failed: int = 0
    left_out: int = 0
    heard: int = 0

    @property
    def done(self) -> int:
        return self.registered + self.repeated + self.failed + self.left_out + self.heard


class ArchiveWriter:
    """Takes rows of the embedding stage. What `flush` returned from is committed.

    The sound of references that are unheard in `known` is added to them. With `answering`, the
    library in the feature space that answers, videos are registered as it holds them, and those
    that it does not hold are left out.

    Every method raises StoreUnavailable; what was committed before stays.
    """

    def __init__(
        self,
        store: LibraryStore,
        *,
        library: str,
        batch_videos: int,
        known: KnownKeys | None = None,
        answering: LibraryStore | None = None,
    ) -> None:
        self._store = store
        self._answering = answering
        self._batch_videos = batch_videos
        self._library = library
        self._known = known
        self._sounds: dict[str, tuple[str, SoundFeatures]] = {}
        self._entries: list[Entry] = []
        self._failures: list[Failure] = []
        self._solved: list[str] = []
        self._bytes = 0
        self._started = self._flushed = time.monotonic()
        self.counts = Counts()

    def add(self, row: Mapping[str, object]) -> None:
        """Takes a row in, and writes when enough has come together."""
        self.counts.present += _number(row["present"])
        self.counts.elsewhere += _number(row["elsewhere"])
        self.counts.passed_over += _number(row["passed_over"])
        if row["item"]:
            self._take(row)
        waiting = len(self._solved) + len(self._failures)
        late = time.monotonic() - self._flushed >= BATCH_S
        if waiting >= self._batch_videos or self._bytes >= BATCH_BYTES or (waiting and late):
            self.flush()

    def flush(self) -> None:
        if self._answering is None:
            registrations = self._store.register(self._entries)
        else:
            registrations = fill(self._store, self._answering, self._entries)
        heard = self._store.add_sounds(self._sounds)
        self._store.record_failures(self._failures, solved=self._solved)
        self.counts.heard += heard
        self.counts.left_out += len(self._sounds) - heard
        self.counts.registered += sum(one.created for one in registrations)
        self.counts.repeated += sum(not one.created for one in registrations)
        self.counts.left_out += len(self._entries) - len(registrations)
        self.counts.failed += len(self._failures)
        self._entries, self._failures, self._solved, self._bytes = [], [], [], 0
        self._sounds = {}
        self._flushed = time.monotonic()
        logger.info(
            "%d videos done, %d of them failed, %.1f a second",
            self.counts.done,
            self.counts.failed,
            self.counts.done / max(self._flushed - self._started, 1e-3),
        )

    def _take(self, row: Mapping[str, object]) -> None:
        item: ArchiveItem = loaded(row["item"])
        if row["error"]:
            code, detail = loaded(row["error"])
            self._failures.append(Failure(path=item.shown, code=code, detail=detail))
            return
        self._solved.append(item.shown)
        if not row["features"]:
            self.counts.repeated += 1
            return
        features: VideoFeatures = loaded(row["features"])
        facts: VideoFacts = loaded(row["facts"])
        source: VideoSource = loaded(row["source"])
        if self._known is not None and self._known.is_unheard(item.id):
            if features.sound is not None:
                self._sounds[item.id] = source.sha256, features.sound
            return
        draft = ReferenceDraft(
            id=item.id,
            library=self._library,
            title=item.title or source.name.rpartition("/")[2].rpartition(".")[0],
            owner=item.owner,
            metadata={"width": facts.width, "height": facts.height},
            rights=parse_rights(item.rights),
        )
        self._entries.append(Entry(draft=draft, source=source, features=features))
        self._bytes += features.region_features.nbytes + features.descriptors.nbytes


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value
