"""Three hours against three hours: the answer is right, and memory is bounded."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import dubl.matching.matrix as module
from dubl.matching.calibration import Calibration
from dubl.matching.matrix import pair_matrix
from dubl.matching.reranker import ViSiLReranker
from dubl.settings import MatchingSettings
from dubl.types import Float64Array
from tests.unit.matching.features import MeanComparator, Shelf, video
from tests.unit.matching.footage import film

HOUR_S = 3600.0
CALIBRATION = Calibration(
    intercept=-8.0,
    weights={"similarity": 8.0, "motion": 8.0, "log_duration": 1.0},
    floor=0.35,
    level=0.45,
)
ORIGINAL, HOST = film(1, shot_s=25), film(2, shot_s=25)


def spliced(times_s: Float64Array) -> Float64Array:
    """The original's second half-hour and the half-hour after it, shown from the first hour on."""
    inside = (times_s >= HOUR_S) & (times_s < 2 * HOUR_S)
    return np.where(inside[:, None], ORIGINAL(times_s - HOUR_S / 2), HOST(times_s))


def test_an_hour_inside_three_hours_is_found() -> None:
    reference = video(ORIGINAL, 3 * HOUR_S)
    query = video(spliced, 3 * HOUR_S, rate_hz=2.0, noise=0.4)
    reranker = ViSiLReranker(Shelf({}), MeanComparator(), CALIBRATION, MatchingSettings())
    tracemalloc.start()
    found = reranker.compare(query, {"original": reference})["original"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (segment,) = found.segments
    assert segment.query_start_s == pytest.approx(HOUR_S, abs=4)
    assert segment.query_end_s == pytest.approx(2 * HOUR_S, abs=4)
    assert segment.reference_start_s == pytest.approx(HOUR_S / 2, abs=4)
    assert reranker.probability(found.signals) > 0.9
    # The matrix of all frames of both would take 470 MB.
    assert peak < 450e6


def test_of_longer_pairs_every_other_instant_of_the_denser_side_is_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    query, reference = video(ORIGINAL, 100.0, rate_hz=2.0), video(ORIGINAL, 100.0)
    monkeypatch.setattr(module, "MAX_CELLS", 100 * 100)
    found = pair_matrix(query, reference, MeanComparator())
    assert found.similarity.shape == (100, 100)
    np.testing.assert_array_equal(found.query_times_s, query.timestamps_s[::2])
    monkeypatch.setattr(module, "MAX_CELLS", 100 * 60)
    assert pair_matrix(query, reference, MeanComparator()).similarity.shape in (
        (50, 100),
        (100, 50),
    )
