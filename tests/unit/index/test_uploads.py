"""Features of uploads are kept for a while, and found by references that come later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dubl.errors import CheckNotFound
from dubl.index.uploads import StoredUpload, Upload, UploadStore
from dubl.rights.terms import CheckContext
from dubl.settings import LookbackSettings
from dubl.types import VideoFeatures
from tests.unit.index.videos import SETTINGS, SOUND, SPEC, features_of, random_vectors, sound_of

FUTURE, PAST = "2999-01-01T00:00:00.000Z", "2000-01-01T00:00:00.000Z"


@pytest.fixture
def uploads(tmp_path: Path) -> UploadStore:
    return UploadStore(
        str(tmp_path / "uploads"), spec=SPEC, index=SETTINGS, settings=LookbackSettings()
    )


def video(seed: int) -> VideoFeatures:
    return features_of(random_vectors(seed))


def kept(check_id: str, seed: int, **fields: object) -> StoredUpload:
    upload = Upload(check_id=check_id, name=f"{check_id}.mp4", sha256=check_id * 8, **fields)
    return StoredUpload(upload=upload, features=video(seed))


def test_a_reference_finds_the_uploads_that_show_it(uploads: UploadStore) -> None:
    context = CheckContext(channel="kids", territory="DE")
    mine = kept("mine", 1, libraries=("films",), callbacks=("https://a/hook",), context=context)
    uploads.keep([mine, kept("other", 2)])
    assert uploads.showing(video(1), library="films")[0] == mine.upload
    assert mine.upload not in uploads.showing(video(1), library="music")
    np.testing.assert_array_equal(uploads.features("mine").descriptors, mine.features.descriptors)


def test_a_reference_finds_the_uploads_with_its_sound(tmp_path: Path) -> None:
    uploads = UploadStore(
        str(tmp_path / "heard"),
        spec=SPEC,
        sound=SOUND,
        index=SETTINGS,
        settings=LookbackSettings(max_uploads=2),
    )
    for number, name in enumerate(("pictures", "others", "song")):
        one = kept(name, number)
        uploads.keep([replace(one, features=replace(one.features, sound=sound_of(number)))])
    asked = replace(video(0), sound=sound_of(2))
    found = [one.check_id for one in uploads.showing(asked, library="films")]
    assert found[0] == "pictures"
    assert "song" in found
    sound = uploads.features("song").sound
    assert sound is not None
    assert len(sound.times_s) == 40


def test_an_upload_is_kept_once_however_often_its_job_runs(uploads: UploadStore) -> None:
    for _ in range(2):
        uploads.keep([kept("mine", 1)])
    assert [one.check_id for one in uploads.showing(video(1), library="main")] == ["mine"]


def test_the_same_upload_is_kept_for_each_choice_of_libraries(uploads: UploadStore) -> None:
    first, second = kept("first", 1, libraries=("films",)), kept("second", 1, libraries=("music",))
    same = StoredUpload(
        upload=replace(second.upload, sha256=first.upload.sha256), features=second.features
    )
    uploads.keep([first])
    uploads.keep([same])
    assert uploads.showing(video(1), library="films") == (first.upload,)
    assert uploads.showing(video(1), library="music") == (same.upload,)
    uploads.forget(["first"])
    assert uploads.showing(video(1), library="music") == (same.upload,)
    assert uploads.showing(video(1), library="books") == ()


def test_uploads_of_other_libraries_take_no_places(tmp_path: Path) -> None:
    settings = LookbackSettings(max_uploads=2)
    uploads = UploadStore(str(tmp_path / "few"), spec=SPEC, index=SETTINGS, settings=settings)
    uploads.keep([kept(f"film {number}", 1, libraries=("films",)) for number in range(4)])
    uploads.keep([kept("song", 1, libraries=("music", "books"))])
    assert [one.check_id for one in uploads.showing(video(1), library="music")] == ["song"]


def test_uploads_go_after_their_time_and_when_asked(uploads: UploadStore) -> None:
    uploads.keep([kept("a", 1), kept("b", 2)])
    uploads.forget(["a", "never kept"])
    with pytest.raises(CheckNotFound):
        uploads.features("a")
    assert uploads.sweep(kept_before=PAST) == 0
    assert uploads.features("b") is not None
    assert uploads.sweep(kept_before=FUTURE) == 1
    assert uploads.showing(video(2), library="main") == ()
