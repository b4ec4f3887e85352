"""Score normalization: similarity of a match compared with that of a background.

After Pizzi et al. (2022), section 5.3. The background here is the other candidates of the query and
a bank of common pictures. A different video from the same room or studio resembles all videos made
there. A copy resembles its original more than anything else. Black frames, titles and credits
resemble each other in every video.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from dubl.types import Float16Array, Float32Array, Segment, VideoFeatures

# Rank among other references; chosen, so that two more copies in the library do not count.
BACKGROUND_RANK = 3
CHUNK_ROWS = 512  # query rows in one matrix product; chosen, bounds memory
NO_VERSIONS: Mapping[str, Collection[str]] = {}
NO_BACKGROUND: Float16Array = np.zeros((0, 1), dtype=np.float16)


class ScoreNormalizer:
    """Background similarity for segments of one query, from the references compared with it."""

    def __init__(
        self,
        query: VideoFeatures,
        references: Mapping[str, VideoFeatures],
        *,
        usual_background: float,
        known_copies: Collection[str] = (),
        versions: Mapping[str, Collection[str]] = NO_VERSIONS,
        background: Float16Array = NO_BACKGROUND,
    ) -> None:
        """query, references: features of one space, references by id.

        usual_background: cosine that stands in for missing references.
        known_copies: ids of references that surely are copies, as they move like the query.
        versions: ids of the references that are copies of a reference, by its id.
        background: unit descriptors [B,D'] of pictures that many videos show.
        """
        self._known_copies = frozenset(known_copies)
        self._versions = versions
        self._usual = usual_background
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

    def background(self, name: str, segment: Segment) -> float:
        """Mean background similarity, a cosine, over the query instants of a segment of `name`.

        At each instant it is the greatest of: the third best of the other references; the bank; and
        the known copies, unless `name` is one. Other versions of `name` do not count. So a library
        may hold a video many times.
        """
        inside = (self._times_s >= segment.query_start_s - 1e-6) & (
            self._times_s <= segment.query_end_s + 1e-6
        )
        if not inside.any():
            return self._usual
        same = {name, *self._versions.get(name, ())}
        nearest = {
            other: values[inside] for other, values in self._nearest.items() if other not in same
        }
        usual = np.full(int(inside.sum()), self._usual, dtype=np.float32)
        others = [values for other, values in nearest.items() if other not in self._known_copies]
        ranked = np.sort(np.stack([*others, *[usual] * BACKGROUND_RANK]), axis=0)
        reached = [ranked[-BACKGROUND_RANK]]
        if self._common is not None:
            reached.append(self._common[inside])
        if name not in self._known_copies:
            reached += [values for other, values in nearest.items() if other in self._known_copies]
        return float(np.max(reached, axis=0).mean())

    def _per_instant(self, descriptors: Float32Array, others: Float16Array) -> Float32Array:
        """The best cosine at each instant, over all views, with any of `others` [B,D']."""
        columns = others.T.astype(np.float32)
        best = np.concatenate(
            [
                (descriptors[first : first + CHUNK_ROWS] @ columns).max(axis=1)
                for first in range(0, len(descriptors), CHUNK_ROWS)
            ]
        )
        cosines: Float32Array = np.maximum.reduceat(best, self._starts)
        return cosines
