"""The keys of all references at one moment, small enough to be sent to every worker of a job.

A key is stored as 16 bytes of its hash. Ten million references take half a gigabyte. The
probability of a collision among them is about 10⁻²⁴.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubl.index import predicates
from dubl.index.tables import Tables, store_errors
from dubl.types import SoundSpec

KEY_COLUMNS = ("id", "library", "sha256", "source", "sound_space")
DIGEST_BYTES = 16  # chosen, see above

Digests = NDArray[np.bytes_]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKeys:
    """Sorted digests of: ids; ids and sources; libraries and SHA-256 sums; ids of references whose
    sound was never listened to."""

    ids: Digests
    places: Digests
    contents: Digests
    unheard: Digests

    def has_id(self, reference_id: str) -> bool:
        return _holds(self.ids, _digest(reference_id))

    def has_place(self, reference_id: str, source: str) -> bool:
        """Whether the id was registered from this source."""
        return _holds(self.places, _digest(reference_id, source))

    def is_unheard(self, reference_id: str) -> bool:
        """Whether the reference exists and its sound was never listened to."""
        return _holds(self.unheard, _digest(reference_id))

    def has_content(self, library: str, sha256: str) -> bool:
        return _holds(self.contents, _digest(library, sha256))


def read_keys(tables: Tables, sound: SoundSpec | None = None) -> KnownKeys:
    """Keys of all current references; without `sound` none counts as unheard."""
    ids: list[bytes] = []
    places: list[bytes] = []
    contents: list[bytes] = []
    unheard: list[bytes] = []
    with store_errors("read keys"):
        query = tables.references.search().select(list(KEY_COLUMNS))
        for batch in query.to_batches():
            for row in batch.to_pylist():
                ids.append(_digest(row["id"]))
                places.append(_digest(row["id"], row["source"]))
                contents.append(_digest(row["library"], row["sha256"]))
                if sound is not None and row["sound_space"] != sound.space_id:
                    unheard.append(ids[-1])
    return KnownKeys(
        ids=_sorted(ids),
        places=_sorted(places),
        contents=_sorted(contents),
        unheard=_sorted(unheard),
    )


def read_ids(tables: Tables, *, library: str) -> Iterator[str]:
    """Ids of a library's references, as a stream."""
    with store_errors("read ids"):
        query = tables.references.search().where(predicates.equals("library", library))
        for batch in query.select(["id"]).to_batches():
            yield from batch["id"].to_pylist()


def _digest(*parts: str) -> bytes:
    joined = "\0".join(parts).encode()
    # numpy treats trailing zeros as padding and drops them.
    return hashlib.blake2b(joined, digest_size=DIGEST_BYTES).digest().rstrip(b"\0")


def _sorted(digests: Iterable[bytes]) -> Digests:
    return np.sort(np.array(list(digests), dtype=f"S{DIGEST_BYTES}"))


def _holds(digests: Digests, digest: bytes) -> bool:
    place = int(np.searchsorted(digests, np.bytes_(digest)))
    return place < digests.size and bool(digests[place] == np.bytes_(digest))
