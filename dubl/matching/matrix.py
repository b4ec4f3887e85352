"""The frame similarity matrix of a query and a reference, from descriptors and regions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dubl.ports import Comparator
from dubl.types import Float16Array, Float32Array, Float64Array, VideoFeatures

CHUNK_ROWS = 512  # query rows in one matrix product; chosen, bounds memory
MAX_REGION_CELLS = 4_000_000  # cells; chosen: more would take minutes of one core
# Cells, 120 MB; chosen: two videos of 90 minutes, at two and at one frame a second.
MAX_CELLS = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PairMatrix:
    """Similarity [T,U] in [0,1] of the instants of two videos; ascending times [T] and [U]."""

    similarity: Float16Array
    query_times_s: Float64Array
    reference_times_s: Float64Array


def pair_matrix(
    query: VideoFeatures, reference: VideoFeatures, comparator: Comparator
) -> PairMatrix:
    """Compares every frame with every frame, in chunks of query rows.

    The similarity of two frames is the geometric mean of their descriptor cosine and their region
    similarity (of `comparator`), both cut at 0. Views of one instant share a row or column, and the
    best one counts. Pairs with more than MAX_REGION_CELLS cells are compared by descriptors alone.
    Above MAX_CELLS, every other instant of the denser side is left out until the matrix fits.
    """
    query, reference = _bounded(query, reference)
    rows, row_times = _by_time(query)
    columns, column_times = _by_time(reference)
    row_starts = np.flatnonzero(_starts(query.timestamps_s[rows]))
    column_starts = np.flatnonzero(_starts(reference.timestamps_s[columns]))
    by_regions = len(rows) * len(columns) <= MAX_REGION_CELLS
    matrix = np.empty((len(row_times), len(column_times)), dtype=np.float16)
    instants = np.append(row_starts, len(rows))
    for first in range(0, len(row_times), CHUNK_ROWS):
        last = min(first + CHUNK_ROWS, len(row_times))
        chunk = rows[instants[first] : instants[last]]
        values = _descriptor_similarity(query, chunk, reference, columns)
        if by_regions:
            regions = comparator.similarity_matrix(
                query.region_features[chunk], reference.region_features[columns]
            )
            values = np.sqrt(values * np.maximum(regions, 0.0))
        values = np.maximum.reduceat(values, column_starts, axis=1)
        matrix[first:last] = np.maximum.reduceat(
            values, instants[first:last] - instants[first], axis=0
        )
    return PairMatrix(similarity=matrix, query_times_s=row_times, reference_times_s=column_times)


def _bounded(query: VideoFeatures, reference: VideoFeatures) -> tuple[VideoFeatures, VideoFeatures]:
    """The pair, thinned to at most MAX_CELLS pairs of instants."""
    sides = [query, reference]
    counts = [len(np.unique(side.timestamps_s)) for side in sides]
    while counts[0] * counts[1] > MAX_CELLS:
        steps_s = [side.duration_s / count for side, count in zip(sides, counts, strict=True)]
        denser = int(np.argmin(steps_s))
        sides[denser] = _every_other(sides[denser])
        counts[denser] = -(-counts[denser] // 2)
    return sides[0], sides[1]


def _every_other(features: VideoFeatures) -> VideoFeatures:
    _, instants = np.unique(features.timestamps_s, return_inverse=True)
    kept = instants % 2 == 0
    return replace(
        features,
        descriptors=features.descriptors[kept],
        region_features=features.region_features[kept],
        timestamps_s=features.timestamps_s[kept],
        views=features.views[kept],
    )


def _by_time(features: VideoFeatures) -> tuple[np.ndarray, Float64Array]:
    """The order of the frames by time, over all views, and the distinct times."""
    order = np.argsort(features.timestamps_s, kind="stable")
    return order, np.unique(features.timestamps_s)


def _starts(times_s: Float64Array) -> np.ndarray:
    return np.concatenate([[True], np.diff(times_s) > 0])


def _descriptor_similarity(
    query: VideoFeatures, rows: np.ndarray, reference: VideoFeatures, columns: np.ndarray
) -> Float32Array:
    left = query.descriptors[rows].astype(np.float32)
    right = reference.descriptors[columns].astype(np.float32)
    cosines: Float32Array = np.clip(left @ right.T, 0.0, 1.0)
    return cosines
