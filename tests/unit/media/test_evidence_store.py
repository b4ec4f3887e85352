"""What is kept of videos for people to look at, and for how long."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dubl.errors import EvidenceNotKept
from dubl.media.evidence_store import EvidenceStore
from dubl.settings import EvidenceSettings
from dubl.types import (
    FeatureSpec,
    FrameClip,
    SoundFeatures,
    SoundSpec,
    VideoFacts,
    VideoFeatures,
    VideoSource,
)

DAY_S = 86400.0
SPEC = FeatureSpec(
    model_id="m",
    weights_sha256="0" * 64,
    rate_hz=1.0,
    frame_size=32,
    resize="squash",
    descriptor_dims=4,
    regions=2,
    region_dims=3,
)


def facts(**changes: object) -> VideoFacts:
    values: dict[str, object] = {
        "duration_s": 3.0,
        "width": 640,
        "height": 360,
        "rotation_deg": 0,
        "codec": "h264",
        "container": "mov,mp4,m4a,3gp,3g2,mj2",
        "frame_rate_hz": 25.0,
        "backend": "pyav",
    }
    return VideoFacts(**(values | changes))


def clip(count: int = 3) -> FrameClip:
    """Whole frames that get lighter each second, and one part of the first instant."""
    levels = np.linspace(20, 220, count).astype(np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (count, 32, 32, 3))
    return FrameClip(
        frames=np.concatenate([frames, np.zeros((1, 32, 32, 3), np.uint8)]),
        timestamps_s=np.append(np.arange(count), 0.0).astype(np.float64),
        views=np.append(np.zeros(count), 1).astype(np.uint8),
        facts=facts(),
    )


def features() -> VideoFeatures:
    rng = np.random.default_rng(0)
    return VideoFeatures(
        descriptors=rng.normal(size=(4, 4)).astype(np.float16),
        region_features=rng.normal(size=(4, 2, 3)).astype(np.float16),
        timestamps_s=np.array([0.0, 1.0, 2.0, 0.0]),
        views=np.array([0, 0, 0, 1], np.uint8),
        duration_s=3.0,
        spec=SPEC,
        sound=SOUND,
    )


SOUND = SoundFeatures(
    descriptors=np.eye(2, 64, dtype=np.float16),
    times_s=np.array([0.0, 0.5]),
    duration_s=3.0,
    spec=SoundSpec(
        model_id="s", weights_sha256="0", sample_rate_hz=8000, window_s=2.0, step_s=0.5, dims=64
    ),
)


def kept_videos(tmp_path: Path, **changes: object) -> EvidenceStore:
    settings = EvidenceSettings.model_validate(changes)
    return EvidenceStore(tmp_path / "kept", settings, spool_dir=tmp_path / "spool")


@pytest.fixture
def upload(tmp_path: Path) -> VideoSource:
    path = tmp_path / "spool" / "0123"
    path.parent.mkdir()
    path.write_bytes(b"video" * 100)
    return VideoSource(path=str(path), sha256="ab" * 32, size_bytes=500, name="кот.mp4")


def test_an_upload_outlives_the_spool_with_its_pictures_and_features(
    tmp_path: Path, upload: VideoSource
) -> None:
    kept = kept_videos(tmp_path)
    kept.keep_query("my/check", upload, clip(), features())
    Path(upload.path).unlink()
    about = kept.query("my/check")
    assert Path(about.video_path).read_bytes() == b"video" * 100
    assert (about.name, about.media_type, about.picture_times_s) == (
        "кот.mp4",
        "video/mp4",
        (0.0, 1.0, 2.0),
    )
    stored = kept.query_features("my/check")
    np.testing.assert_array_equal(stored.region_features, features().region_features)
    np.testing.assert_array_equal(stored.views, features().views)
    assert stored.sound is not None
    np.testing.assert_array_equal(stored.sound.descriptors, SOUND.descriptors)
    np.testing.assert_array_equal(stored.sound.times_s, SOUND.times_s)
    assert stored.sound.spec == SOUND.spec
    assert stored.spec == SPEC


def test_a_picture_is_the_nearest_whole_frame_in_the_shape_of_the_video(
    tmp_path: Path, upload: VideoSource
) -> None:
    kept = kept_videos(tmp_path)
    kept.keep_reference("r", upload, clip())
    picture = Image.open(io.BytesIO(kept.reference_picture("r", 1.2)))
    assert picture.size == (32, 18)
    assert abs(int(np.asarray(picture).mean()) - 120) <= 2


def test_files_outside_the_spool_are_named_and_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "archive.mp4"
    path.write_bytes(b"film")
    source = VideoSource(path=str(path), sha256="", size_bytes=4, name=str(path))
    kept = kept_videos(tmp_path)
    kept.keep_reference("r", source, clip())
    assert kept.reference("r").video_path == str(path)
    assert not list((tmp_path / "kept").rglob("video"))
    path.unlink()
    assert kept.reference("r").video_path == ""


def test_the_file_of_a_reference_is_there_where_a_copy_was_kept(
    tmp_path: Path, upload: VideoSource
) -> None:
    kept = kept_videos(tmp_path)
    kept.keep_reference("uploaded", upload, clip())
    path = tmp_path / "elsewhere.mp4"
    path.write_bytes(b"x")
    kept.keep_reference("named", replace(upload, path=str(path)), clip())
    file = kept.reference_file("uploaded")
    assert Path(file.path).read_bytes() == b"video" * 100
    assert file.size_bytes == 500
    for identifier in ("named", "unknown"):
        with pytest.raises(EvidenceNotKept):
            kept.reference_file(identifier)


def test_without_keep_videos_pictures_alone_are_kept(tmp_path: Path, upload: VideoSource) -> None:
    kept = kept_videos(tmp_path, keep_videos=False)
    kept.keep_query("c", upload, clip(), features())
    assert kept.query("c").video_path == ""
    assert kept.query_picture("c", 0.0)


def test_what_was_never_kept_or_was_removed_is_not_found(
    tmp_path: Path, upload: VideoSource
) -> None:
    kept = kept_videos(tmp_path)
    kept.keep_query("c", upload, clip(), features())
    kept.remove_query("c")
    kept.remove_query("never")
    for call in (kept.query, kept.query_features, kept.reference):
        with pytest.raises(EvidenceNotKept):
            call("c")
    with pytest.raises(EvidenceNotKept):
        kept.query_picture("c", 0.0)


def test_a_check_that_runs_again_replaces_what_it_had_kept(
    tmp_path: Path, upload: VideoSource
) -> None:
    kept = kept_videos(tmp_path)
    kept.keep_query("c", upload, clip(2), features())
    kept.keep_query("c", upload, clip(3), features())
    assert kept.query("c").picture_times_s == (0.0, 1.0, 2.0)
    assert not list((tmp_path / "kept").rglob(".new-*"))


def test_queries_go_after_their_time_and_references_stay(
    tmp_path: Path, upload: VideoSource
) -> None:
    kept = kept_videos(tmp_path)
    for name in ("old", "new"):
        kept.keep_query(name, upload, clip(), features())
    kept.keep_reference("r", upload, clip())
    for video in (kept.query("old"), kept.reference("r")):
        os.utime(Path(video.video_path).parent, (0, 0))
    assert kept.sweep(retention_s=DAY_S) == 1
    assert kept.query("new").video_path
    assert kept.reference("r").video_path
    with pytest.raises(EvidenceNotKept):
        kept.query("old")


def test_the_evidence_of_a_held_check_stays_whatever_its_age_and_size(
    tmp_path: Path, upload: VideoSource
) -> None:
    kept = kept_videos(tmp_path, max_bytes=1)
    kept.keep_query("held", upload, clip(), features())
    os.utime(Path(kept.query("held").video_path).parent, (0, 0))
    assert kept.sweep(retention_s=DAY_S, held=["held"]) == 0
    assert kept.query_picture("held", 0.0)
    assert kept.sweep(retention_s=DAY_S) == 1


def test_above_its_size_the_oldest_queries_go_and_then_files_of_references(
    tmp_path: Path, upload: VideoSource
) -> None:
    kept = kept_videos(tmp_path, max_bytes=3000)
    kept.keep_reference("r", upload, clip())
    for age_s, name in enumerate(("new", "old")):
        kept.keep_query(name, upload, clip(), features())
        folder = Path(kept.query(name).video_path).parent
        os.utime(folder, (folder.stat().st_mtime - age_s * DAY_S,) * 2)
    size_bytes = sum(path.stat().st_size for path in (tmp_path / "kept").rglob("*"))
    assert kept_videos(tmp_path, max_bytes=2 * size_bytes).sweep(retention_s=30 * DAY_S) == 0
    kept.sweep(retention_s=30 * DAY_S)
    with pytest.raises(EvidenceNotKept):
        kept.query("old")
    kept_videos(tmp_path, max_bytes=1).sweep(retention_s=30 * DAY_S)
    with pytest.raises(EvidenceNotKept):
        kept.query("new")
    assert kept.reference("r").video_path == ""
    assert kept.reference_picture("r", 0.0)


def test_what_a_crash_left_half_written_is_swept(tmp_path: Path, upload: VideoSource) -> None:
    kept = kept_videos(tmp_path)
    kept.keep_query("c", upload, clip(), features())
    leftover = tmp_path / "kept" / "queries" / ".new-dead"
    leftover.mkdir()
    os.utime(leftover, (0, 0))
    kept.sweep(retention_s=30 * DAY_S)
    assert not leftover.exists()
    assert kept.query("c")
