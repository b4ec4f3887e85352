"""Interruptions: pictures of another video that flash up within a copy.

The copy goes on behind them, so they contradict nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dubl.matching.matrix import PairMatrix
from dubl.types import VideoFeatures

# All values are chosen.
MIN_SIMILARITY = 0.6  # of the rows on both sides to some row of the reference
MAX_GAP_S = 1.6  # seconds between the rows on both sides


def interruptions(pair: PairMatrix, floor: float) -> NDArray[np.bool_]:
    """Rows [T] unlike anything in the reference, between two rows like something in it.

    `floor`: least similarity of two frames that count as similar.
    """
    best, times_s = pair.similarity.max(axis=1), pair.query_times_s
    before_s = np.maximum.accumulate(np.where(best > MIN_SIMILARITY, times_s, -np.inf))
    after_s = np.minimum.accumulate(np.where(best > MIN_SIMILARITY, times_s, np.inf)[::-1])[::-1]
    found: NDArray[np.bool_] = (best < floor) & (after_s - before_s <= MAX_GAP_S)
    return found


def without_interruptions(
    query: VideoFeatures, pair: PairMatrix, *, floor: float
) -> tuple[VideoFeatures, PairMatrix]:
    """Both without the rows of interruptions."""
    foreign = interruptions(pair, floor)
    if not foreign.any():
        return query, pair
    kept = ~np.isin(query.timestamps_s, pair.query_times_s[foreign])
    return (
        replace(
            query,
            descriptors=query.descriptors[kept],
            region_features=query.region_features[kept],
            timestamps_s=query.timestamps_s[kept],
            views=query.views[kept],
        ),
        replace(
            pair,
            similarity=pair.similarity[~foreign],
            query_times_s=pair.query_times_s[~foreign],
        ),
    )
