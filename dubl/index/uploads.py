"""Features of checked uploads, so that references registered later are found in them.

They are stored in tables like those of the library, beside it. An upload is a row like a reference.
Its metadata describes the check, and its "library" names the libraries that were searched. The same
bytes are stored once for each such set of libraries, by the first check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dubl.errors import CheckNotFound
from dubl.index.retriever import LanceRetriever
from dubl.index.rows import Entry
from dubl.index.store import LibraryStore
from dubl.rights.terms import ANYWHERE, CheckContext
from dubl.settings import IndexSettings, LookbackSettings, SoundSettings
from dubl.types import (
    FeatureSpec,
    Metadata,
    Reference,
    ReferenceDraft,
    SoundSpec,
    VideoFeatures,
    VideoSource,
)

KEPT = "uploads"
PAGE = 500  # uploads of one removal; chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A checked video, with the parameters of its check and the addresses of its webhooks."""

    check_id: str
    name: str
    sha256: str
    libraries: tuple[str, ...] = ()
    callbacks: tuple[str, ...] = ()
    context: CheckContext = ANYWHERE

    def asked(self, library: str) -> bool:
        """Whether its check searched that library."""
        return not self.libraries or library in self.libraries


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUpload:
    """An upload with the features of all its views."""

    upload: Upload
    features: VideoFeatures


class UploadStore:
    """Stored uploads; methods raise as those of LibraryStore."""

    def __init__(
        self,
        uri: str,
        *,
        spec: FeatureSpec,
        sound: SoundSpec | None = None,
        index: IndexSettings,
        settings: LookbackSettings,
    ) -> None:
        # A reference may be in `max_uploads` uploads, each with one frame of it.
        most = settings.max_uploads
        wide = index.model_copy(update={"max_candidates": most, "hits_per_frame": most})
        self._store = LibraryStore(uri, spec=spec, sound=sound, settings=index)
        self._compacted = 0
        heard = SoundSettings(max_candidates=most)
        self._retriever = LanceRetriever(self._store, wide, sound=heard)

    def keep(self, uploads: Sequence[StoredUpload]) -> None:
        """Stores uploads in one commit; existing ones stay."""
        self._store.register([_entry(one.upload, one.features) for one in uploads])

    def showing(self, reference: VideoFeatures, *, library: str) -> tuple[Upload, ...]:
        """Uploads with frames like those of a reference, best first, then those with its sound.

        Only uploads whose check searched `library` are returned.
        """
        kept_as = [name for name in self._store.libraries() if _may_have_asked(name, library)]
        if not kept_as:
            return ()
        alike = self._retriever.retrieve(replace(reference, timings_ms={}), libraries=kept_as)
        shown = {one.reference_id for one in alike.candidates}
        heard = [one for one in alike.heard if one.reference_id not in shown]
        found = (*alike.candidates, *heard)
        rows = {
            one.id: one for one in self._store.existing(ids=[one.reference_id for one in found])
        }
        uploads = [_upload(rows[one.reference_id]) for one in found if one.reference_id in rows]
        return tuple(upload for upload in uploads if upload.asked(library))

    def features(self, check_id: str) -> VideoFeatures:
        """The features of an upload. Raises CheckNotFound if they are not stored."""
        found = self._store.read_features([check_id])
        if check_id not in found:
            raise CheckNotFound(f"no features are stored for the upload of check '{check_id}'")
        return found[check_id]

    def forget(self, check_ids: Sequence[str]) -> None:
        """Removes uploads; missing ones are ignored."""
        for check_id in self._store.present_ids(check_ids):
            self._store.delete(check_id)

    def sweep(self, *, kept_before: str) -> int:
        """Removes uploads stored before a time (UTC, ISO 8601); returns their number."""
        old = [one.id for one in self._store.created_before(kept_before, limit=PAGE)]
        self.forget(old)
        return len(old)

    def optimize(self) -> None:
        """Compacts the tables if something was written since the last call."""
        if self._store.version != self._compacted:
            self._store.optimize()
            self._compacted = self._store.version


def _kept_as(libraries: Sequence[str]) -> str:
    """The stored library name, such as uploads/films,music.

    Checks of all libraries name none, and neither do uploads of older versions.
    """
    return "/".join([KEPT, ",".join(sorted(set(libraries)))]) if libraries else KEPT


def _may_have_asked(kept_as: str, library: str) -> bool:
    _, _, libraries = kept_as.partition("/")
    return not libraries or library in libraries.split(",")


def _entry(note: Upload, features: VideoFeatures) -> Entry:
    about: Metadata = {
        "libraries": list(note.libraries),
        "callbacks": list(note.callbacks),
        "channel": note.context.channel,
        "territory": note.context.territory,
    }
    return Entry(
        draft=ReferenceDraft(id=note.check_id, library=_kept_as(note.libraries), metadata=about),
        source=VideoSource(path="", sha256=note.sha256, size_bytes=0, name=note.name),
        features=features,
    )


def _upload(row: Reference) -> Upload:
    about = row.metadata
    return Upload(
        check_id=row.id,
        name=row.source,
        sha256=row.sha256,
        libraries=_texts(about.get("libraries")),
        callbacks=_texts(about.get("callbacks")),
        context=CheckContext(
            channel=str(about.get("channel", "")), territory=str(about.get("territory", ""))
        ),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
