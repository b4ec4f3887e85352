"""What other references reach: a match counts for as much as it stands out among its rivals.

A stranger from the same room, studio or game looks like every video made there; a copy looks like
its original more than like anything else. Black frames, titles and credits look alike everywhere.
So the other candidates of the query, and a background bank of ordinary and of common pictures,
are what a similarity is measured against, as in score normalization (Pizzi et al., 2022, section
5.3) with the library itself as part of the background.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from dubl.types import Float16Array, Float32Array, Segment, VideoFeatures

# The third best, so that a video which stands twice more in the library does not count.
RIVAL_RANK = 3
CHUNK_ROWS = 512  # of the query, compared at once
NO_BACKGROUND: Float16Array = np.zeros((0, 1), dtype=np.float16)


class Rivals:
    """The best similarity of each of several references at each instant of a query."""

    def __init__(
        self,
        query: VideoFeatures,
        references: Mapping[str, VideoFeatures],
        *,
        usual: float,
        sure: Collection[str] = (),
        background: Float16Array = NO_BACKGROUND,
    ) -> None:
        """`sure`: references that move as the query does and so are copies, whatever the others.

        `background`: unit descriptors [B,D] of pictures that copies may look like by chance.
        """
        self._sure = frozenset(sure)
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
        """What others reach over the instants of a segment of `name`, on average.

        That is the third best reference (the usual similarity stands in where there are fewer),
        or the background where that is more alike. A sure copy is no rival to another one, so a
        library may hold a video many times; but it explains away what merely looks like it.
        """
        inside = (self._times_s >= segment.query_start_s - 1e-6) & (
            self._times_s <= segment.query_end_s + 1e-6
        )
        if not inside.any():
            return self._usual
        nearest = {
            other: values[inside] for other, values in self._nearest.items() if other != name
        }
        usual = np.full(int(inside.sum()), self._usual, dtype=np.float32)
        others = [values for other, values in nearest.items() if other not in self._sure]
        ranked = np.sort(np.stack([*others, *[usual] * RIVAL_RANK]), axis=0)
        reached = [ranked[-RIVAL_RANK]]
        if self._common is not None:
            reached.append(self._common[inside])
        if name not in self._sure:
            reached += [values for other, values in nearest.items() if other in self._sure]
        return float(np.max(reached, axis=0).mean())

    def _per_instant(self, descriptors: Float32Array, others: Float16Array) -> Float32Array:
        """The best cosine at each instant, over all views, with any of `others` [B,D]."""
        columns = others.T.astype(np.float32)
        best = np.concatenate(
            [
                (descriptors[first : first + CHUNK_ROWS] @ columns).max(axis=1)
                for first in range(0, len(descriptors), CHUNK_ROWS)
            ]
        )
        cosines: Float32Array = np.maximum.reduceat(best, self._starts)
        return cosines
