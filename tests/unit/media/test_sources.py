"""Paths outside the allowed folders stay closed; the spool keeps sizes and sums."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from dubl.errors import SourceForbidden, SourceNotFound, SourceTooLarge, StoreUnavailable
from dubl.media.sources import hash_file, open_path
from dubl.media.spool import Spool
from dubl.settings import MediaSettings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "clip.mp4").write_bytes(b"picture")
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    return folder


@pytest.fixture
def settings(root: Path) -> MediaSettings:
    return MediaSettings(allowed_roots=(root,))


def test_a_file_in_an_allowed_folder_is_used_where_it_lies(
    root: Path, settings: MediaSettings
) -> None:
    source = open_path(str(root / "clip.mp4"), settings=settings)
    assert source.path == str(root / "clip.mp4")
    assert source.sha256 == hashlib.sha256(b"picture").hexdigest()
    assert source.size_bytes == 7


@pytest.mark.parametrize("path", ["../secret.mp4", "../library/../secret.mp4", "../no-such-file"])
def test_a_path_that_climbs_out_is_forbidden(
    root: Path, settings: MediaSettings, path: str
) -> None:
    with pytest.raises(SourceForbidden):
        open_path(str(root / path), settings=settings)


def test_a_symlink_that_leads_out_is_forbidden(root: Path, settings: MediaSettings) -> None:
    (root / "link.mp4").symlink_to(root.parent / "secret.mp4")
    with pytest.raises(SourceForbidden):
        open_path(root / "link.mp4", settings=settings)


def test_a_symlink_within_the_folder_is_followed(root: Path, settings: MediaSettings) -> None:
    (root / "link.mp4").symlink_to(root / "clip.mp4")
    assert open_path(root / "link.mp4", settings=settings).path == str(root / "clip.mp4")


def test_a_sibling_folder_with_the_same_beginning_is_forbidden(
    root: Path, settings: MediaSettings
) -> None:
    sibling = root.parent / "library-private"
    sibling.mkdir()
    (sibling / "clip.mp4").write_bytes(b"x")
    with pytest.raises(SourceForbidden):
        open_path(sibling / "clip.mp4", settings=settings)


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "loop.mp4"])
def test_a_path_that_makes_no_sense_is_refused(
    root: Path, settings: MediaSettings, path: str
) -> None:
    (root / "loop.mp4").symlink_to(root / "loop.mp4")
    with pytest.raises((SourceForbidden, SourceNotFound)):
        open_path(f"{root}/{path}", settings=settings)


def test_without_allowed_folders_every_path_is_forbidden(root: Path) -> None:
    with pytest.raises(SourceForbidden):
        open_path(root / "clip.mp4", settings=MediaSettings())


def test_folders_and_absent_files_are_not_found(root: Path, settings: MediaSettings) -> None:
    for path in (root, root / "absent.mp4"):
        with pytest.raises(SourceNotFound):
            open_path(path, settings=settings)
    with pytest.raises(SourceNotFound):
        hash_file(root / "absent.mp4")


def test_a_file_over_the_limit_is_too_large(root: Path) -> None:
    with pytest.raises(SourceTooLarge):
        open_path(
            root / "clip.mp4", settings=MediaSettings(allowed_roots=(root,), max_size_bytes=6)
        )


def test_an_upload_is_counted_and_hashed_while_it_arrives(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 100)
    with spool.writer("holiday.mp4") as writer:
        writer.write(b"pic")
        writer.write(b"ture")
        source = writer.commit()
    assert Path(source.path).read_bytes() == b"picture"
    assert (source.size_bytes, source.name) == (7, "holiday.mp4")
    assert source.sha256 == hash_file(Path(source.path))


def test_an_upload_over_the_limit_leaves_nothing(tmp_path: Path) -> None:
    writer = Spool(tmp_path, 5).writer("big.mp4")
    writer.write(b"12345")
    with pytest.raises(SourceTooLarge):
        writer.write(b"6")
    assert list(tmp_path.iterdir()) == []


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    with Spool(tmp_path, 5).writer("half.mp4") as writer:
        writer.write(b"123")
    assert list(tmp_path.iterdir()) == []


def test_uploads_of_one_name_do_not_meet(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100)
    sources = []
    for content in (b"a", b"b"):
        writer = spool.writer("../../same.mp4")
        writer.write(content)
        sources.append(writer.commit())
    assert [Path(source.path).read_bytes() for source in sources] == [b"a", b"b"]
    assert {Path(source.path).parent for source in sources} == {tmp_path}


def test_only_spooled_files_are_removed(root: Path, settings: MediaSettings) -> None:
    spool = Spool(root.parent / "spool", 100)
    writer = spool.writer("a")
    spooled, kept = writer.commit(), open_path(root / "clip.mp4", settings=settings)
    for source in (spooled, spooled, kept):
        spool.remove(source)
    assert not Path(spooled.path).exists()
    assert Path(kept.path).exists()


def test_leftovers_of_a_crash_are_swept(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100)
    old = spool.writer("old")
    old.write(b"x")
    fresh = spool.writer("fresh").commit()
    for part in tmp_path.glob("*.part"):
        os.utime(part, (1, 1))
    assert spool.remove_older_than(3600) == 1
    assert list(tmp_path.iterdir()) == [Path(fresh.path)]
    old.discard()


def test_a_spool_that_cannot_be_written_is_the_operators_matter(tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"a file, not a folder")
    with pytest.raises(StoreUnavailable):
        Spool(tmp_path / "spool", 100).writer("a")
