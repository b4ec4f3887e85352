"""Evidence of a match, from imaginary footage with pictures that show their time."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping

import numpy as np
import pytest
from PIL import Image

from dubl.errors import EvidenceNotKept
from dubl.matching.explanation import Explainer, SpaceReader
from dubl.matching.matrix_picture import draw_matrix
from dubl.types import (
    Float16Array,
    Float32Array,
    Match,
    Segment,
    SoundFeatures,
    SoundSpec,
    StoredVideo,
    TimedMatrix,
    VideoFeatures,
)
from tests.unit.matching.features import SPEC, MeanComparator, Shelf, video
from tests.unit.matching.footage import film

REFERENCE = video(film(1), 40.0)
QUERY = video(lambda times_s: film(1)(times_s + 10.0), 12.0, rate_hz=2.0)
SEGMENT = Segment(
    query_start_s=0, query_end_s=12, reference_start_s=10, reference_end_s=22, similarity=0.9
)
MATCH = Match(
    reference_id="r", library="main", similarity=0.9, probability=0.95, segments=(SEGMENT,)
)


class ShowingComparator(MeanComparator):
    """Its network shows a cell for each four by four frames."""

    network = True

    def cleaned_matrix(self, query: Float16Array, reference: Float16Array) -> Float32Array | None:
        if not self.network:
            return None
        return self.similarity_matrix(query[::4], reference[::4])


@dataclasses.dataclass
class Kept:
    """Kept videos whose pictures are of one level: their second, times five."""

    features: Mapping[str, VideoFeatures]
    references: tuple[str, ...] = ("r",)

    def query(self, check_id: str) -> StoredVideo:
        return self._about(check_id, known=self.features, rate_hz=2.0, duration_s=12.0)

    def reference(self, reference_id: str) -> StoredVideo:
        return self._about(reference_id, known=self.references, rate_hz=1.0, duration_s=40.0)

    def query_features(self, check_id: str) -> VideoFeatures:
        self.query(check_id)
        return self.features[check_id]

    def query_picture(self, check_id: str, at_s: float) -> bytes:
        self.query(check_id)
        return _jpeg(at_s)

    def reference_picture(self, reference_id: str, at_s: float) -> bytes:
        self.reference(reference_id)
        return _jpeg(at_s)

    def _about(
        self, identifier: str, *, known: object, rate_hz: float, duration_s: float
    ) -> StoredVideo:
        if identifier not in known:
            raise EvidenceNotKept(identifier)
        return StoredVideo(
            id=identifier,
            name="",
            duration_s=duration_s,
            width=16,
            height=9,
            picture_times_s=tuple(np.arange(0, duration_s, 1 / rate_hz)),
            video_path="",
            media_type="video/mp4",
            kept_at="",
        )


def _jpeg(at_s: float) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 36), (int(at_s * 5),) * 3).save(buffer, "JPEG")
    return buffer.getvalue()


def explainer(kept: Kept, comparator: ShowingComparator | None = None) -> Explainer:
    return explainer_of(Shelf({"r": REFERENCE}), comparator or ShowingComparator(), kept)


def explainer_of(shelf: Shelf, comparator: ShowingComparator, kept: Kept) -> Explainer:
    reader = SpaceReader(features=shelf, comparator=comparator)
    return Explainer({SPEC.space_id: reader}, kept)


def test_frame_pairs_lie_on_the_segment_and_are_alike() -> None:
    explanation = explainer(Kept({"c": QUERY})).explain("c", MATCH)
    offsets = [pair.reference_s - pair.query_s for pair in explanation.pairs]
    np.testing.assert_allclose(offsets, 10.0)
    assert min(pair.similarity for pair in explanation.pairs) > 0.7
    assert explanation.reference is not None
    assert explanation.reference_duration_s == 40.0


def test_matrices_before_and_after_the_network_have_their_line_at_the_same_place() -> None:
    matrices = explainer(Kept({"c": QUERY})).matrices("c", MATCH)
    assert matrices.frames.similarity.shape == (24, 40)
    assert matrices.cleaned is not None
    assert matrices.cleaned.similarity.shape == (6, 10)
    for matrix in (matrices.frames, matrices.cleaned):
        best = matrix.reference_times_s[matrix.similarity.argmax(axis=1)]
        assert np.abs(best - matrix.query_times_s - 10.0).max() <= 4.0


def test_without_a_network_there_is_no_second_matrix() -> None:
    comparator = ShowingComparator()
    comparator.network = False
    assert explainer(Kept({"c": QUERY}), comparator).matrices("c", MATCH).cleaned is None


def test_a_long_pair_is_shown_small_and_its_line_is_not_lost() -> None:
    long = video(film(1), 1000.0)
    kept = Kept({"c": long})
    segment = dataclasses.replace(
        SEGMENT, query_end_s=1000, reference_start_s=0, reference_end_s=1000
    )
    shelf = Shelf({"r": long})
    explain = explainer_of(shelf, ShowingComparator(), kept)
    frames = explain.matrices("c", dataclasses.replace(MATCH, segments=(segment,))).frames
    assert max(frames.similarity.shape) <= 320
    assert np.diag(frames.similarity).min() > 0.9


def test_a_reference_without_pictures_is_explained_all_the_same() -> None:
    explanation = explainer(Kept({"c": QUERY}, references=())).explain("c", MATCH)
    assert explanation.reference is None
    assert explanation.pairs


def test_a_weak_match_without_segments_still_has_its_matrix() -> None:
    weak = dataclasses.replace(MATCH, segments=())
    explain = explainer(Kept({"c": QUERY}))
    assert explain.explain("c", weak).pairs == ()
    assert explain.matrices("c", weak).frames.similarity.size


def test_what_is_gone_is_said_to_be_gone() -> None:
    explain = explainer(Kept({"c": QUERY}))
    with pytest.raises(EvidenceNotKept):
        explain.explain("other", MATCH)
    with pytest.raises(EvidenceNotKept, match="no longer in the library"):
        explain.explain("c", dataclasses.replace(MATCH, reference_id="gone"))
    spec = dataclasses.replace(QUERY.spec, weights_sha256="1" * 64)
    with pytest.raises(EvidenceNotKept, match="no longer loaded"):
        explainer(Kept({"c": dataclasses.replace(QUERY, spec=spec)})).explain("c", MATCH)


def matrix(values: Float32Array) -> TimedMatrix:
    rows, columns = values.shape
    return TimedMatrix(
        similarity=values,
        query_times_s=np.arange(rows, dtype=np.float64),
        reference_times_s=np.arange(columns, dtype=np.float64),
        query_duration_s=float(rows),
        reference_duration_s=float(columns),
    )


def test_the_picture_is_lighter_where_frames_are_more_alike() -> None:
    values = np.zeros((10, 20), np.float32)
    values[2, 15] = 1.0
    picture = np.asarray(Image.open(io.BytesIO(draw_matrix(matrix(values)))).convert("L"))
    assert picture.shape == (360, 720)
    assert picture[72, 540] > int(picture[72, 200]) + 100


def test_segments_are_drawn_white_from_end_to_end() -> None:
    values = np.zeros((20, 20), np.float32)
    segment = dataclasses.replace(
        SEGMENT, query_start_s=5, query_end_s=15, reference_start_s=5, reference_end_s=15
    )
    drawn = Image.open(io.BytesIO(draw_matrix(matrix(values), [segment]))).convert("RGB")
    assert [drawn.getpixel((at, at)) == (255, 255, 255) for at in (100, 360, 530, 650)] == [
        False,
        True,
        True,
        False,
    ]


def test_the_offset_plot_of_sound_has_its_line_where_both_sounds_agree() -> None:
    song = sound(seed=1)
    query, later = (replaced(one, song[first:]) for one, first in ((QUERY, 12), (REFERENCE, 0)))
    explain = explainer_of(Shelf({"r": later}), ShowingComparator(), Kept({"c": query}))
    shown = explain.matrices("c", MATCH).sound
    assert shown is not None
    rows = shown.similarity.argmax(axis=1)
    assert shown.reference_times_s[rows] - shown.query_times_s == pytest.approx(6.0)
    assert explainer(Kept({"c": QUERY})).matrices("c", MATCH).sound is None


def replaced(features: VideoFeatures, windows: np.ndarray) -> VideoFeatures:
    spec = SoundSpec(
        model_id="made", weights_sha256="0", sample_rate_hz=8000, window_s=2, step_s=0.5, dims=64
    )
    heard = SoundFeatures(
        descriptors=windows, times_s=np.arange(len(windows)) / 2, duration_s=40.0, spec=spec
    )
    return dataclasses.replace(features, sound=heard)


def sound(seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((40, 64))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
