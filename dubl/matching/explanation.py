"""Explanation of a match for reviewers: similarity matrices, pairs of frames, hints of edits."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dubl.errors import EvidenceNotKept
from dubl.matching.edit_hints import PicturePair, edit_hints
from dubl.matching.matrix import pair_matrix
from dubl.matching.signals import alike_views, line_of
from dubl.ports import EvidenceStore, MatrixComparator, ReferenceFeatures
from dubl.types import (
    WHOLE_FRAME,
    Explanation,
    Float64Array,
    FramePair,
    Hint,
    Match,
    Matrices,
    Segment,
    SoundFeatures,
    StoredVideo,
    TimedMatrix,
    Uint8Array,
    VideoFeatures,
)

MAX_CELLS = 320  # cells of one side of a displayed matrix; chosen
MAX_FRAMES = 1024  # frames of one side given to the comparator; chosen, bounds its time
PAIRS_PER_SEGMENT = 6  # chosen
HINT_PAIRS = 4  # pairs of pictures for edit hints; chosen, bounds the time
POOLED_FRAMES = 4  # frames of one cell of the comparator's matrix; by its architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceReader:
    """The stored features and the comparator of one feature space."""

    features: ReferenceFeatures
    comparator: MatrixComparator


class Explainer:
    """Compares a stored query with one reference again, for display.

    `readers`: by id of the feature space; a check is explained in its own space. Both methods raise
    EvidenceNotKept, also if the reference or the feature space no longer exists.
    """

    def __init__(self, readers: Mapping[str, SpaceReader], store: EvidenceStore) -> None:
        self._readers = readers
        self._store = store

    def explain(self, check_id: str, match: Match) -> Explanation:
        query, reference = self._pair(check_id, match)
        frames = self._frames(query, reference)
        pairs = () if frames is None else _frame_pairs(match.segments, frames)
        return Explanation(
            query=self._store.query(check_id),
            reference=self._stored_reference(match.reference_id),
            reference_duration_s=reference.duration_s,
            pairs=pairs,
            hints=self._hints(check_id, match, pairs),
        )

    def matrices(self, check_id: str, match: Match) -> Matrices:
        query, reference = self._pair(check_id, match)
        frames = self._frames(query, reference)
        seen = frames is not None
        return Matrices(
            frames=None if frames is None else _thinned(frames),
            cleaned=self._cleaned(query, reference, match.segments) if seen else None,
            sound=_sounds(query.sound, reference.sound),
        )

    def _pair(self, check_id: str, match: Match) -> tuple[VideoFeatures, VideoFeatures]:
        query = self._store.query_features(check_id)
        reader = self._readers.get(query.spec.space_id)
        if reader is None:
            raise EvidenceNotKept(
                f"check '{check_id}' was made with a model that is no longer loaded"
            )
        found = reader.features.read_features([match.reference_id])
        if match.reference_id not in found:
            raise EvidenceNotKept(f"reference '{match.reference_id}' is no longer in the library")
        return query, found[match.reference_id]

    def _comparator(self, query: VideoFeatures) -> MatrixComparator:
        return self._readers[query.spec.space_id].comparator

    def _stored_reference(self, reference_id: str) -> StoredVideo | None:
        try:
            return self._store.reference(reference_id)
        except EvidenceNotKept:
            return None

    def _frames(self, query: VideoFeatures, reference: VideoFeatures) -> TimedMatrix | None:
        """None if one of both is sound alone."""
        if not len(query.timestamps_s) or not len(reference.timestamps_s):
            return None
        matrix = pair_matrix(query, reference, self._comparator(query))
        return TimedMatrix(
            similarity=matrix.similarity.astype(np.float32),
            query_times_s=matrix.query_times_s,
            reference_times_s=matrix.reference_times_s,
            query_duration_s=query.duration_s,
            reference_duration_s=reference.duration_s,
        )

    def _cleaned(
        self, query: VideoFeatures, reference: VideoFeatures, segments: Sequence[Segment]
    ) -> TimedMatrix | None:
        """The comparator's matrix for the query view of the best segment; None without one.

        A cell covers four by four frames.
        """
        view = alike_views(segments[0], query, reference)[0] if segments else WHOLE_FRAME
        rows = np.flatnonzero(query.views == view)
        rows = rows[:: max(1, -(-len(rows) // MAX_FRAMES))]
        columns = np.arange(0, len(reference.timestamps_s))
        columns = columns[:: max(1, -(-len(columns) // MAX_FRAMES))]
        values = self._comparator(query).cleaned_matrix(
            query.region_features[rows], reference.region_features[columns]
        )
        if values is None:
            return None
        cleaned = TimedMatrix(
            similarity=values,
            query_times_s=_cell_times(query.timestamps_s[rows], values.shape[0]),
            reference_times_s=_cell_times(reference.timestamps_s[columns], values.shape[1]),
            query_duration_s=query.duration_s,
            reference_duration_s=reference.duration_s,
        )
        return _thinned(cleaned)

    def _hints(self, check_id: str, match: Match, pairs: Sequence[FramePair]) -> tuple[Hint, ...]:
        first = [pair for pair in pairs if pair.segment == 0]
        chosen = first[:: max(1, len(first) // HINT_PAIRS)][:HINT_PAIRS]
        try:
            pictures = [self._picture_pair(check_id, match, pair) for pair in chosen]
        except EvidenceNotKept:
            pictures = []
        return edit_hints(match.segments, pictures)

    def _picture_pair(self, check_id: str, match: Match, pair: FramePair) -> PicturePair:
        """The query's picture nearest to the pair, and the reference's picture at that instant."""
        times_s = np.array(self._store.query(check_id).picture_times_s)
        if not len(times_s):
            raise EvidenceNotKept("a fingerprint has no pictures")
        shown_s = float(times_s[np.abs(times_s - pair.query_s).argmin()])
        line = line_of(match.segments[0])
        query = self._store.query_picture(check_id, shown_s)
        reference = self._store.reference_picture(
            match.reference_id, line.slope * shown_s + line.offset_s
        )
        return PicturePair(query=_decoded(query), reference=_decoded(reference))


def _sounds(query: SoundFeatures | None, reference: SoundFeatures | None) -> TimedMatrix | None:
    """Cosines of the windows, by their middles."""
    if query is None or reference is None or query.spec != reference.spec:
        return None
    if not len(query.times_s) or not len(reference.times_s):
        return None
    left, right = (one.descriptors.astype(np.float32) for one in (query, reference))
    half_s = query.spec.window_s / 2
    return _thinned(
        TimedMatrix(
            similarity=np.clip(left @ right.T, 0, 1),
            query_times_s=query.times_s + half_s,
            reference_times_s=reference.times_s + half_s,
            query_duration_s=query.duration_s,
            reference_duration_s=reference.duration_s,
        )
    )


def _frame_pairs(segments: Sequence[Segment], matrix: TimedMatrix) -> tuple[FramePair, ...]:
    """Instants spread evenly over each segment, with the similarity of the nearest cell."""
    pairs = []
    for number, segment in enumerate(segments):
        line = line_of(segment)
        shares = (np.arange(PAIRS_PER_SEGMENT) + 0.5) / PAIRS_PER_SEGMENT
        seconds = segment.query_start_s + shares * (segment.query_end_s - segment.query_start_s)
        for query_s in seconds:
            reference_s = float(line.slope * query_s + line.offset_s)
            row = int(np.abs(matrix.query_times_s - query_s).argmin())
            column = int(np.abs(matrix.reference_times_s - reference_s).argmin())
            pairs.append(
                FramePair(
                    segment=number,
                    query_s=float(query_s),
                    reference_s=reference_s,
                    similarity=float(matrix.similarity[row, column]),
                )
            )
    return tuple(pairs)


def _thinned(matrix: TimedMatrix) -> TimedMatrix:
    """The matrix with at most MAX_CELLS a side: the maximum of each block, so no line is lost."""
    rows = np.arange(0, matrix.similarity.shape[0], _block(matrix.similarity.shape[0]))
    columns = np.arange(0, matrix.similarity.shape[1], _block(matrix.similarity.shape[1]))
    values = np.maximum.reduceat(matrix.similarity, rows, axis=0)
    return TimedMatrix(
        similarity=np.maximum.reduceat(values, columns, axis=1),
        query_times_s=_block_means(matrix.query_times_s, rows),
        reference_times_s=_block_means(matrix.reference_times_s, columns),
        query_duration_s=matrix.query_duration_s,
        reference_duration_s=matrix.reference_duration_s,
    )


def _block(count: int) -> int:
    return max(1, -(-count // MAX_CELLS))


def _block_means(times_s: Float64Array, starts: np.ndarray) -> Float64Array:
    sums = np.add.reduceat(times_s, starts)
    means: Float64Array = sums / np.diff(np.append(starts, len(times_s)))
    return means


def _cell_times(times_s: Float64Array, cells: int) -> Float64Array:
    """Times [cells] of the comparator's cells over frames at `times_s`."""
    if len(times_s) < POOLED_FRAMES:
        return np.linspace(float(times_s[0]), float(times_s[-1]), cells)
    middles = np.arange(cells) * POOLED_FRAMES + (POOLED_FRAMES - 1) / 2
    times: Float64Array = np.interp(middles, np.arange(len(times_s)), times_s)
    return times


def _decoded(jpeg: bytes) -> Uint8Array:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))
