"""Peaks: the cells of a similarity matrix that may lie on a shared segment, as a sparse list.

Lines are searched on this list alone, which bounds the time for long videos.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dubl.types import Float16Array, Float32Array, Float64Array

Matrix: TypeAlias = "Float16Array | Float32Array"
IndexArray = NDArray[np.int64]
CHUNK_CELLS = 4_000_000  # cells converted to float32 at once, 16 MB; chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """Cells (rows[k], columns[k]) and their similarity; all arrays have shape [P]."""

    rows: IndexArray
    columns: IndexArray
    similarity: Float32Array

    def where(self, keep: NDArray[np.bool_]) -> Peaks:
        return Peaks(
            rows=self.rows[keep], columns=self.columns[keep], similarity=self.similarity[keep]
        )


def find_peaks(similarity: Matrix, *, floor: float, reach: float, limit: int) -> Peaks:
    """Cells of [T,U] with at least `floor`, and within `reach` of the best of their row or column.

    About `limit` cells at most: the most similar ones of each row are kept.
    """
    rows, columns = similarity.shape
    best_of_column = similarity.max(axis=0).astype(np.float32)
    per_row = max(32, limit // rows)
    chunk = max(1, CHUNK_CELLS // columns)
    found = [
        _peaks_of_rows(similarity, start, start + chunk, best_of_column, floor, reach, per_row)
        for start in range(0, rows, chunk)
    ]
    return Peaks(
        rows=np.concatenate([peaks.rows for peaks in found]),
        columns=np.concatenate([peaks.columns for peaks in found]),
        similarity=np.concatenate([peaks.similarity for peaks in found]),
    )


def _peaks_of_rows(
    similarity: Matrix,
    start: int,
    stop: int,
    best_of_column: Float32Array,
    floor: float,
    reach: float,
    per_row: int,
) -> Peaks:
    block = similarity[start:stop].astype(np.float32)
    best_of_row = block.max(axis=1, keepdims=True)
    keep = (block >= best_of_row - reach) | (block >= best_of_column - reach)
    keep &= block >= floor
    for row in np.flatnonzero(keep.sum(axis=1) > per_row):
        _thin_row(keep[row], block[row], per_row, seed=start + int(row))
    rows, columns = np.nonzero(keep)
    return Peaks(rows=rows + start, columns=columns, similarity=block[rows, columns])


def _thin_row(keep: NDArray[np.bool_], values: Float32Array, count: int, *, seed: int) -> None:
    """Keeps the `count` most similar cells of a row; equal ones are drawn at random."""
    columns = np.flatnonzero(keep)
    lots = np.random.default_rng(seed).random(len(columns)) * 1e-4
    dropped = np.argpartition(-(values[columns] + lots), count)[count:]
    keep[columns[dropped]] = False


def votes(peaks: Peaks, shape: tuple[int, int], *, sharpness: float) -> Float64Array:
    """How much each cell stands out in its row and column, in (0,1], [P].

    exp((s - best of row) / sharpness) · exp((s - best of column) / sharpness): mutual nearest
    neighbors have 1. Only differences enter, so a video of similar frames keeps its diagonal.
    """
    best_of_row = np.full(shape[0], -np.inf, dtype=np.float32)
    best_of_column = np.full(shape[1], -np.inf, dtype=np.float32)
    np.maximum.at(best_of_row, peaks.rows, peaks.similarity)
    np.maximum.at(best_of_column, peaks.columns, peaks.similarity)
    lag = 2 * peaks.similarity - best_of_row[peaks.rows] - best_of_column[peaks.columns]
    weights: Float64Array = np.exp(lag.astype(np.float64) / sharpness)
    return weights


def distinctiveness(
    peaks: Peaks, weights: Float64Array, *, rows: int, column_spans_s: Float64Array, width_s: float
) -> Float64Array:
    """How precisely each query row is located in the reference, in [0,1], [T].

    1: similar cells cover at most `width_s` seconds of the reference. About 0: any second fits
    equally, as in a still picture.
    """
    alternatives = np.bincount(peaks.rows, weights * column_spans_s[peaks.columns], minlength=rows)
    shares: Float64Array = np.minimum(1.0, width_s / np.maximum(alternatives, width_s))
    return shares
