"""Claims about videos behind an object store's address; file:// stands in for a bucket."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from dubl.errors import SourceNotFound, SourceTooLarge
from dubl.media.spool import Spool
from dubl.settings import load_settings
from pipelines.archive_stages import opened
from pipelines.object_store import fetch_object, list_objects


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    folder = tmp_path / "bucket"
    (folder / "b").mkdir(parents=True)
    (folder / "a.mp4").write_bytes(b"first")
    (folder / "b" / "видео 1.mp4").write_bytes(b"second")
    return folder


def test_objects_are_listed_by_their_names_below_the_prefix(bucket: Path) -> None:
    found = list(list_objects(f"file://{bucket}"))
    assert [key for _, key in found] == ["a.mp4", "b/видео 1.mp4"]
    assert [uri for uri, _ in found] == [
        f"file://{bucket}/a.mp4",
        f"file://{bucket}/b/{quote('видео 1.mp4')}",
    ]


def test_an_object_lies_in_the_spool_while_it_is_worked_on(bucket: Path, tmp_path: Path) -> None:
    settings = load_settings(overrides=[f"data_dir={tmp_path}"], environment={})
    uri = f"file://{bucket}/a.mp4"
    with opened(uri, settings) as source:
        assert Path(source.path).read_bytes() == b"first"
        assert source.name == uri
    assert list(settings.spool_dir.iterdir()) == []


def test_objects_that_are_absent_or_too_large_are_refused(bucket: Path, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", max_size_bytes=3)
    with pytest.raises(SourceNotFound):
        fetch_object(f"file://{bucket}/none.mp4", spool, name="none")
    with pytest.raises(SourceTooLarge):
        fetch_object(f"file://{bucket}/a.mp4", spool, name="a")


def test_a_file_is_used_where_it_lies_and_what_is_none_is_refused(
    bucket: Path, tmp_path: Path
) -> None:
    settings = load_settings(overrides=[f"data_dir={tmp_path}"], environment={})
    path = str(bucket / "a.mp4")
    with opened(path, settings) as source:
        assert (source.path, source.size_bytes) == (path, 5)
    for other in (str(bucket), str(bucket / "none.mp4"), "/dev/null", f"{bucket}/zero\0byte"):
        with pytest.raises(SourceNotFound), opened(other, settings):
            pass
