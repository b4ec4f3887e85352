"""What other references reach: a match counts for as much as it stands out among its rivals.

A stranger from the same room, studio or game looks like every video made there; a copy looks like
its original more than like anything else. Black frames, titles and credits look alike everywhere.
So the other candidates of the query, and a background bank of ordinary and of common pictures,
are what a similarity is measured against, as in score normalization (Pizzi et al., 2022, section
5.3) with the library itself as part of the background.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dubl.types import Float16Array, Float32Array, Segment, VideoFeatures

# The third best, so that a video which stands twice more in the library does not count.
RIVAL_RANK = 3
NO_BACKGROUND: Float16Array = np.zeros((0, 1), dtype=np.float16)


class Rivals:
    """The best similarity of each of several references at each instant of a query."""

    def __init__(
        self,
        query: VideoFeatures,
        references: Mapping[str, VideoFeatures],
        *,
        usual: float,
        background: Float16Array = NO_BACKGROUND,
    ) -> None:
        """`background`: unit descriptors [B,D] of pictures that copies may look like by chance."""
        self._usual = usual
        order = np.argsort(query.timestamps_s, kind="stable")
        self._times_s, self._starts = np.unique(query.timestamps_s[order], return_index=True)
        rows = query.descriptors[order].astype(np.float32)
        self._nearest = {
            name: self._per_instant(rows, reference.descriptors)
            for name, reference in references.items()
            if len(rows) and len(reference.timestamps_s)
        }
        self._common = (
            self._per_instant(rows, background) if len(rows) and len(background) else None
        )

    def similarity(self, name: str, segment: Segment) -> float:
        """Mean similarity, over the instants of a segment, of the third best reference but `name`.

        Where there are fewer, the usual similarity stands in for those that are missing. The
        background counts where it is more alike.
        """
        inside = (self._times_s >= segment.query_start_s - 1e-6) & (
            self._times_s <= segment.query_end_s + 1e-6
        )
        if not inside.any():
            return self._usual
        others = [nearest[inside] for other, nearest in self._nearest.items() if other != name]
        missing = np.full(int(inside.sum()), self._usual, dtype=np.float32)
        rows = np.stack([*others, *[missing] * RIVAL_RANK])
        reached = np.sort(rows, axis=0)[-RIVAL_RANK]
        if self._common is not None:
            reached = np.maximum(reached, self._common[inside])
        return float(reached.mean())

    def _per_instant(self, descriptors: Float32Array, others: Float16Array) -> Float32Array:
        """The best cosine at each instant, over all views, with any of `others` [B,D]."""
        best = (descriptors @ others.T.astype(np.float32)).max(axis=1)
        cosines: Float32Array = np.maximum.reduceat(best, self._starts)
        return cosines
