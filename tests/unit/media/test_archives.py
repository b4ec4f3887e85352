"""Claims about zip archives of strangers."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from dubl.errors import SourceTooLarge, UnsafeArchive
from dubl.media.archives import ArchiveEntry, unpack
from dubl.media.spool import Spool

CONTENT = bytes(range(256)) * 40
LIMIT_BYTES = 50_000_000


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", LIMIT_BYTES)


def zip_of(tmp_path: Path, members: dict[str, bytes], **options: int) -> Path:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def opened(
    path: Path, spool: Spool, *, max_entries: int = 10, limit: int = LIMIT_BYTES
) -> tuple[ArchiveEntry, ...]:
    return unpack(str(path), spool=spool, max_entries=max_entries, max_size_bytes=limit)


def spooled(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "spool").glob("*"))


def test_files_are_spooled_under_their_names_and_folders_are_not(
    tmp_path: Path, spool: Spool
) -> None:
    members = {"b/": b"", "b/кот.mp4": CONTENT, "__MACOSX/b/._x": b"x", "a.mp4": CONTENT[:9]}
    entries = opened(zip_of(tmp_path, members), spool)
    assert [entry.name for entry in entries] == ["b/кот.mp4", "a.mp4"]
    assert [
        Path(entry.source.path).read_bytes() for entry in entries if entry.source is not None
    ] == [CONTENT, CONTENT[:9]]
    assert {path.parent for path in spooled(tmp_path)} == {tmp_path / "spool"}


@pytest.mark.parametrize(
    "name", ["../evil.mp4", "a/../../evil.mp4", "/etc/evil", "..\\evil.mp4", "C:\\evil", "C:/evil"]
)
def test_a_name_that_leads_out_refuses_the_archive(tmp_path: Path, spool: Spool, name: str) -> None:
    with pytest.raises(UnsafeArchive, match="leads out"):
        opened(zip_of(tmp_path, {"good.mp4": CONTENT, name: CONTENT}), spool)
    assert spooled(tmp_path) == []


def test_a_symbolic_link_refuses_the_archive(tmp_path: Path, spool: Spool) -> None:
    path = tmp_path / "a.zip"
    link = zipfile.ZipInfo("link.mp4")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UnsafeArchive, match="plain"):
        opened(path, spool)


def test_a_bomb_is_refused_before_it_has_grown(tmp_path: Path, spool: Spool) -> None:
    bomb = zip_of(tmp_path, {"bomb": bytes(40_000_000)}, compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 100_000
    with pytest.raises(UnsafeArchive, match="many times"):
        opened(bomb, spool)
    assert spooled(tmp_path) == []


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_of_another_method_is_refused_before_it_is_unpacked(
    tmp_path: Path, spool: Spool, method: int
) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.mp4", bytes(50_000_000))
    with pytest.raises(UnsafeArchive, match="deflate"):
        opened(path, spool)
    assert spooled(tmp_path) == []


def test_a_file_without_a_name_refuses_the_archive(tmp_path: Path, spool: Spool) -> None:
    path = zip_of(tmp_path, {"a.mp4": b"x" * 50})
    path.write_bytes(path.read_bytes().replace(b"a.mp4", b"\0.mp4"))
    with pytest.raises(UnsafeArchive, match="no name"):
        opened(path, spool)


def test_an_offset_before_the_file_is_damage(tmp_path: Path, spool: Spool) -> None:
    path = zip_of(tmp_path, {"a.mp4": b"x" * 50})
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 42 : directory + 46] = b"\xff\xff\xff\x7f"
    content[:0] = b"before"
    path.write_bytes(content)
    (entry,) = opened(path, spool)
    assert isinstance(entry.error, UnsafeArchive)


def test_all_files_together_have_the_limit_of_one(tmp_path: Path, spool: Spool) -> None:
    members = {f"{number}": CONTENT for number in range(4)}
    with pytest.raises(SourceTooLarge):
        opened(zip_of(tmp_path, members), spool, limit=3 * len(CONTENT))
    assert spooled(tmp_path) == []


def test_too_many_files_are_refused(tmp_path: Path, spool: Spool) -> None:
    members = {f"{number}": b"x" for number in range(11)}
    with pytest.raises(UnsafeArchive, match="more than 10"):
        opened(zip_of(tmp_path, members), spool)


def test_a_huge_directory_is_refused_before_it_is_read(tmp_path: Path, spool: Spool) -> None:
    path = zip_of(tmp_path, {"a": b"x"})
    content = bytearray(path.read_bytes())
    end = content.rfind(b"PK\x05\x06")
    struct.pack_into("<L", content, end + 12, 1 << 30)
    path.write_bytes(content)
    with pytest.raises(UnsafeArchive, match="too many files"):
        opened(path, spool)


def test_files_that_share_their_bytes_are_refused(tmp_path: Path, spool: Spool) -> None:
    path = zip_of(tmp_path, {"a": CONTENT})
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    end = content.rindex(b"PK\x05\x06")
    record = content[start:end]
    twice = content[:start] + record * 3
    tail = bytearray(content[end:])
    struct.pack_into("<HH", tail, 8, 3, 3)
    struct.pack_into("<LL", tail, 12, 3 * len(record), start)
    path.write_bytes(twice + tail)
    with pytest.raises(UnsafeArchive):
        opened(path, spool)
    assert spooled(tmp_path) == []


def test_one_damaged_file_is_told_of_and_the_others_are_taken(tmp_path: Path, spool: Spool) -> None:
    path = zip_of(tmp_path, {"bad.mp4": CONTENT, "good.mp4": CONTENT[::-1]})
    content = bytearray(path.read_bytes())
    content[content.index(CONTENT) + 7] ^= 0xFF
    path.write_bytes(content)
    bad, good = opened(path, spool)
    assert bad.source is None
    assert bad.error is not None
    assert "damaged" in bad.error.detail
    assert good.source is not None
    assert len(spooled(tmp_path)) == 1


def test_what_is_no_zip_is_refused(tmp_path: Path, spool: Spool) -> None:
    for content in (b"", b"no zip" * 10, b"PK\x05\x06" + bytes(10), b"PK\x05\x06" + bytes(17)):
        path = tmp_path / "a.zip"
        path.write_bytes(content)
        with pytest.raises(UnsafeArchive):
            opened(path, spool)


def test_a_zip_behind_other_bytes_and_a_comment_is_a_zip(tmp_path: Path, spool: Spool) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = b"a comment of some length"
        archive.writestr("a", CONTENT)
    path = tmp_path / "a.zip"
    path.write_bytes(b"#!/bin/sh\n" * 20 + buffer.getvalue())
    (entry,) = opened(path, spool)
    assert entry.source is not None
