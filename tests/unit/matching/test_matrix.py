"""The similarity matrix joins descriptors, regions and views in bounded memory."""

from dataclasses import replace

import numpy as np
import pytest

from dubl.matching import matrix as module
from dubl.matching.matrix import pair_matrix
from dubl.types import VideoFeatures
from tests.unit.matching.features import MeanComparator, video
from tests.unit.matching.footage import film


def test_frames_of_one_instant_are_alike_to_one() -> None:
    clip = video(film(1), 9.0)
    found = pair_matrix(clip, clip, MeanComparator())
    np.testing.assert_allclose(np.diag(found.similarity), 1.0, atol=2e-3)
    assert found.similarity.dtype == np.float16


def test_both_kinds_of_features_must_agree() -> None:
    """The geometric mean: regions that say nothing leave nothing of the descriptors' word."""
    clip = video(film(1), 9.0)
    contradicted = replace(clip, region_features=-clip.region_features)
    assert pair_matrix(clip, contradicted, MeanComparator()).similarity.max() == 0


@pytest.mark.parametrize("rows", [1, 7, 512])
def test_chunks_of_rows_change_nothing(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    query, reference = video(film(1), 30.0, rate_hz=2.0), video(film(1), 17.0)
    whole = pair_matrix(query, reference, MeanComparator()).similarity
    monkeypatch.setattr(module, "CHUNK_ROWS", rows)
    comparator = MeanComparator()
    chunked = pair_matrix(query, reference, comparator).similarity
    np.testing.assert_allclose(chunked, whole, atol=1e-3)
    assert max(shape[0] for shape in comparator.shapes) <= rows


def test_very_long_pairs_leave_regions_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REGION_CELLS", 100)
    comparator = MeanComparator()
    found = pair_matrix(video(film(1), 30.0), video(film(1), 30.0), comparator)
    assert comparator.shapes == []
    np.testing.assert_allclose(np.diag(found.similarity), 1.0, atol=2e-3)


def test_views_of_one_instant_become_one_row() -> None:
    first, second = video(film(1), 10.0), video(film(2), 10.0)
    both = VideoFeatures(
        descriptors=np.concatenate([first.descriptors, second.descriptors]),
        region_features=np.concatenate([first.region_features, second.region_features]),
        timestamps_s=np.concatenate([first.timestamps_s, second.timestamps_s]),
        views=np.repeat(np.array([0, 1], dtype=np.uint8), 10),
        duration_s=10.0,
        spec=first.spec,
    )
    found = pair_matrix(both, second, MeanComparator())
    assert found.similarity.shape == (10, 10)
    np.testing.assert_allclose(np.diag(found.similarity), 1.0, atol=2e-3)
    np.testing.assert_array_equal(found.query_times_s, first.timestamps_s)
