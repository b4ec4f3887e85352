"""Retrieval of candidates: one batched vector search over frames, then a vote by reference."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dubl.errors import FeatureSpaceMismatch
from dubl.index import predicates
from dubl.index.clock import instant
from dubl.index.nearest import nearest_frames
from dubl.index.reading import chunks, read_rows
from dubl.index.spans import distinct_rows, joined, moments
from dubl.index.store import LibraryStore
from dubl.index.voting import Hits, Votes, vote
from dubl.settings import IndexSettings, SoundSettings
from dubl.types import (
    Candidate,
    CandidateSet,
    Float64Array,
    FrameFound,
    FrameHit,
    FrameSpan,
    SoundFeatures,
    VideoFeatures,
)

HITS_A_REFERENCE = 10  # frames searched for each wanted reference of a picture search; chosen
COUNTS = 64  # kept numbers of references, by version and libraries; chosen
AS_ALIKE = 0.02  # cosine below the best frame up to which a frame shows the picture too; chosen


class LanceRetriever:
    """Retriever (dubl.ports) over a LibraryStore."""

    def __init__(
        self,
        store: LibraryStore,
        settings: IndexSettings,
        *,
        sound: SoundSettings | None = None,
        negative: Sequence[str] = (),
    ) -> None:
        """`negative`: libraries of common material. They are always searched, and their candidates
        do not count towards `max_candidates`."""
        self._store = store
        self._settings = settings
        sound = sound or SoundSettings()
        self._heard_settings = settings.model_copy(
            update={
                "min_hit_similarity": sound.min_hit_similarity,
                "max_candidates": sound.max_candidates,
            }
        )
        self._negative = tuple(negative)
        # Counting some libraries reads a column of all references: once for each version.
        self._searched = lru_cache(maxsize=COUNTS)(self._count)

    def retrieve(
        self,
        features: VideoFeatures,
        *,
        libraries: Sequence[str] = (),
        exclude_ids: Sequence[str] = (),
        registered_before: str = "",
    ) -> CandidateSet:
        """Candidates from `libraries` (all, when empty), best first, then common material.

        `registered_before` is an ISO 8601 time: only references of earlier registration count.
        Raises FeatureSpaceMismatch, StoreUnavailable, InvalidRequest for an unreadable time.
        """
        started = time.perf_counter()
        if features.spec != self._store.spec:
            raise FeatureSpaceMismatch(
                f"the query has features of {features.spec.model_id}; the library holds those of "
                f"{self._store.spec.model_id}"
            )
        version = self._store.version
        rows = distinct_rows(features.descriptors, limit=self._settings.max_query_frames)
        where = _filter(libraries, exclude_ids, registered_before)
        candidates: tuple[Candidate, ...] = ()
        others = _without(self._negative, where)
        if rows.size:
            candidates = self._search(features, rows, libraries, where=others)
        if rows.size and self._negative:
            common = predicates.among("library", self._negative)
            candidates += self._search(features, rows, self._negative, where=common)
        heard = self._hear(features.sound, libraries, where=others)
        elapsed_ms = (time.perf_counter() - started) * 1000
        return CandidateSet(
            candidates=candidates,
            heard=heard,
            index_version=version,
            searched=self._searched(version, tuple(libraries)),
            timings_ms={**features.timings_ms, "retrieve": elapsed_ms},
        )

    def _count(self, _version: int, libraries: tuple[str, ...]) -> int:
        return self._store.count(libraries)

    def _search(
        self,
        features: VideoFeatures,
        rows: NDArray[np.intp],
        libraries: Sequence[str],
        *,
        where: str,
    ) -> tuple[Candidate, ...]:
        descriptors = features.descriptors[rows]
        found = nearest_frames(self._store.tables.frames, descriptors, self._settings, where=where)
        return self._elect(found, features.timestamps_s[rows], libraries, self._settings)

    def _hear(
        self, sound: SoundFeatures | None, libraries: Sequence[str], *, where: str
    ) -> tuple[Candidate, ...]:
        """Candidates by their sound; none for a silent query, or one of another space of sounds."""
        table, settings = self._store.tables.audio_frames, self._heard_settings
        if table is None or sound is None or sound.spec != self._store.sound:
            return ()
        rows = distinct_rows(sound.descriptors, limit=settings.max_query_frames)
        if not rows.size:
            return ()
        found = nearest_frames(table, sound.descriptors[rows], settings, where=where)
        return self._elect(found, sound.times_s[rows], libraries, settings)

    def candidate(self, reference_id: str) -> Candidate | None:
        """A reference that nobody searched; None if it is not there. Raises StoreUnavailable."""
        for one in self._store.existing(ids=[reference_id]):
            return Candidate(reference_id=one.id, library=one.library, score=0.0, hits=())
        return None

    def find_frame(
        self, features: VideoFeatures, *, libraries: Sequence[str] = (), limit: int
    ) -> tuple[FrameFound, ...]:
        """References that show the one picture of `features`, best first.

        Each has the spans of its frames within AS_ALIKE of the best one. Raises
        FeatureSpaceMismatch, StoreUnavailable.
        """
        settings = self._settings.model_copy(update={"hits_per_frame": HITS_A_REFERENCE * limit})
        found = nearest_frames(
            self._store.tables.frames,
            features.descriptors[:1],
            settings,
            where=_filter(libraries, (), ""),
        )
        similarities = _similarities(found)
        owners = found["reference_id"].to_numpy(zero_copy_only=False)
        close = similarities >= self._settings.min_hit_similarity
        names = sorted(set(owners[close]))
        best = {name: float(similarities[owners == name].max()) for name in names}
        ranked = sorted(best, key=lambda name: -best[name])[:limit]
        present = self._libraries_of(ranked) if ranked else {}
        return tuple(
            FrameFound(
                reference_id=name,
                library=present[name],
                similarity=min(1.0, best[name]),
                spans=_spans(
                    found, close & (owners == name) & (similarities >= best[name] - AS_ALIKE)
                ),
            )
            for name in ranked
            if name in present
        )

    def _elect(
        self,
        found: pa.Table,
        query_times_s: Float64Array,
        libraries: Sequence[str],
        settings: IndexSettings,
    ) -> tuple[Candidate, ...]:
        floor = settings.min_hit_similarity
        ids, hits = _hits(found, query_times_s, floor=floor)
        query_count = np.unique(query_times_s).size
        votes = vote(hits, reference_count=len(ids), query_count=query_count, floor=floor)
        ranked = [ids[code] for code in np.argsort(-votes.scores, kind="stable")]
        codes = {reference_id: code for code, reference_id in enumerate(ids)}
        elected: list[Candidate] = []
        for chunk in chunks(ranked, 2 * settings.max_candidates):
            present = self._libraries_of(chunk)
            for reference_id in chunk:
                library = present.get(reference_id)
                if library is not None and (not libraries or library in libraries):
                    elected.append(
                        _candidate(codes[reference_id], reference_id, library, hits, votes)
                    )
            if len(elected) >= settings.max_candidates:
                break
        return tuple(elected[: settings.max_candidates])

    def _libraries_of(self, reference_ids: Sequence[str]) -> dict[str, str]:
        """The library by id, of references that exist."""
        where = predicates.among("id", reference_ids)
        rows = read_rows(self._store.tables, ["id", "library"], where)
        return dict(zip(rows["id"].to_pylist(), rows["library"].to_pylist(), strict=True))


def _without(libraries: Sequence[str], where: str) -> str:
    """`where` without these libraries. Without both it stays empty, as a filter costs time."""
    return predicates.all_of(
        [where, predicates.not_among("library", libraries) if libraries else ""]
    )


def _spans(found: pa.Table, rows: NDArray[np.bool_]) -> tuple[FrameSpan, ...]:
    whole = joined(found["time_s"].to_numpy()[rows], found["until_s"].to_numpy()[rows])
    return tuple(FrameSpan(start_s=start_s, end_s=end_s) for start_s, end_s in whole)


def _similarities(found: pa.Table) -> Float64Array:
    similarities: Float64Array = 1.0 - found["_distance"].to_numpy().astype(np.float64)
    return similarities


def _filter(libraries: Sequence[str], exclude_ids: Sequence[str], registered_before: str) -> str:
    earlier = ""
    if registered_before:
        earlier = f"created_at < {predicates.quoted(instant(registered_before))}"
    return predicates.all_of(
        [
            predicates.among("library", libraries) if libraries else "",
            predicates.not_among("reference_id", exclude_ids) if exclude_ids else "",
            earlier,
        ]
    )


def _hits(found: pa.Table, query_times_s: Float64Array, *, floor: float) -> tuple[list[str], Hits]:
    """Ids of the references found, and hits of at least `floor`, which refer to them by index.

    A hit on a span is repeated at each of its moments; a window of the vote counts one of them.
    """
    similarities = _similarities(found)
    close = similarities >= floor
    query_rows = found["query_index"].to_numpy()
    encoded = found["reference_id"].filter(pa.array(close)).combine_chunks().dictionary_encode()
    spans, times_s = moments(found["time_s"].to_numpy()[close], found["until_s"].to_numpy()[close])
    hits = Hits(
        query_times_s=query_times_s[query_rows[close]][spans],
        references=encoded.indices.to_numpy(zero_copy_only=False).astype(np.intp)[spans],
        reference_times_s=times_s,
        similarities=similarities[close][spans],
    )
    return encoded.dictionary.to_pylist(), hits


def _candidate(code: int, reference_id: str, library: str, hits: Hits, votes: Votes) -> Candidate:
    mine = np.flatnonzero((hits.references == code) & votes.supporting)
    ordered = mine[np.argsort(hits.query_times_s[mine], kind="stable")]
    return Candidate(
        reference_id=reference_id,
        library=library,
        score=float(votes.scores[code]),
        hits=tuple(
            FrameHit(
                query_time_s=float(hits.query_times_s[hit]),
                reference_time_s=float(hits.reference_times_s[hit]),
                similarity=min(1.0, float(hits.similarities[hit])),
            )
            for hit in ordered
        ),
    )
