"""Claims about listing archives."""

from __future__ import annotations

import csv
import json
import os
import socket
import tracemalloc
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dubl import objects
from dubl.contract.rights import parse_rights
from dubl.errors import ConfigurationError, InvalidRequest, SourceNotFound, SourceUnreachable
from dubl.rights.terms import UNRESTRICTED
from pipelines.archive_source import ArchiveItem, open_archive

UUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "архив"
    for name in ("a.mp4", "сезон 1/影片.MKV", f"b/{UUID.upper()}.webm", "notes.txt", "b/🎬.mp4"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def ids(items: Sequence[ArchiveItem]) -> list[str]:
    return [item.id for item in items]


def test_a_folder_gives_its_videos_in_order_with_ids_that_last(folder: Path) -> None:
    items = list(open_archive(str(folder)))
    assert ids(items) == ["a.mp4", UUID, "b/🎬.mp4", "сезон 1/影片.MKV"]
    assert all(Path(item.path).is_file() for item in items)
    assert ids(list(open_archive(folder.as_uri()))) == ids(items)
    assert ids(list(open_archive(str(folder), id_prefix="x/")))[0] == "x/a.mp4"


def test_what_the_decoder_takes_is_found_by_content_and_the_rest_is_counted(tmp_path: Path) -> None:
    heads = {
        "a.vob": b"\x00\x00\x01\xba",
        "b.m2ts": (b"\x00" * 4 + b"\x47" + b"\x00" * 187) * 2,
        "c": b"\x00\x00\x00\x18ftypisom",
        "d.ogv": b"OggS",
        "e.3gp": b"\x00\x00\x00\x18ftyp3gp4",
        "f.mxf": b"\x06\x0e\x2b\x34",
        "photo.heic": b"\x00\x00\x00\x18ftypheic",
        "notes.txt": b"notes",
        "cover.jpg": b"\xff\xd8\xff",
    }
    for name, head in heads.items():
        (tmp_path / name).write_bytes(head)
    archive = open_archive(str(tmp_path))
    for _ in range(2):
        assert ids(list(archive)) == ["a.vob", "b.m2ts", "c", "d.ogv", "e.3gp", "f.mxf"]
        assert archive.passed_over == 3


def test_an_archive_can_be_read_again(folder: Path) -> None:
    archive = open_archive(str(folder))
    assert list(archive) == list(archive)


def test_names_are_ids_in_one_spelling(tmp_path: Path) -> None:
    name = unicodedata.normalize("NFD", "café.mp4")
    (tmp_path / name).write_bytes(b"")
    (item,) = open_archive(str(tmp_path))
    assert item.id == unicodedata.normalize("NFC", name)
    assert Path(item.path).exists()


def test_names_that_are_not_utf8_have_ids_of_their_own(tmp_path: Path) -> None:
    for name in (b"\xff.mp4", b"\xfe.mp4", rb"\xff.mp4"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"x")
    items = list(open_archive(str(tmp_path)))
    assert len(set(ids(items))) == 3
    for item in items:
        item.id.encode()
        item.shown.encode()
        assert Path(item.path).is_file()


def test_a_glob_gives_what_it_matches(folder: Path) -> None:
    assert ids(list(open_archive(f"{folder}/*/*.mp4"))) == ["b/🎬.mp4"]
    assert len(list(open_archive(f"{folder}/**/*.*"))) == 5
    assert list(open_archive(f"{folder}/*.nothing")) == []


def test_a_text_list_holds_paths_and_links(folder: Path) -> None:
    listing = folder / "list.txt"
    link = f"https://host/{UUID}.mp4?token=1"
    listing.write_text(f"a.mp4\r\n\n b.mp4\n/elsewhere/c.mp4\n{link}\ns3://bucket/d.mp4\n")
    items = list(open_archive(str(listing)))
    assert ids(items) == ["a.mp4", " b.mp4", "/elsewhere/c.mp4", UUID, "s3://bucket/d.mp4"]
    assert [item.path for item in items[2:]] == ["/elsewhere/c.mp4", link, "s3://bucket/d.mp4"]


def test_tables_may_name_ids_titles_and_owners(folder: Path) -> None:
    rows = [
        {"path": "a.mp4", "id": "film", "title": "Фильм", "owner": "студия"},
        {"path": "b.mp4", "id": None, "title": None, "owner": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "list.parquet")
    (folder / "list.csv").write_text("path,id,title,owner\na.mp4,film,Фильм,студия\nb.mp4,,,\n")
    for name in ("list.csv", "list.parquet"):
        first, second = open_archive(str(folder / name))
        assert (first.id, first.title, first.owner) == ("film", "Фильм", "студия")
        assert (second.id, second.title, second.owner) == ("b.mp4", "", "")


def test_lists_in_another_encoding_or_with_numbers_are_read(folder: Path) -> None:
    (folder / "list.csv").write_bytes(b"path,title,owner\na.mp4,Ren\xe9,Ren\xe9\n")
    (folder / "list.txt").write_bytes(b"https://host/ren\xe9.mp4\n")
    pq.write_table(pa.table({"path": ["a.mp4"], "id": [7]}), folder / "list.parquet")
    (row,) = open_archive(str(folder / "list.csv"), id_prefix="x/")
    (link,) = open_archive(str(folder / "list.txt"))
    (number,) = open_archive(str(folder / "list.parquet"), id_prefix="x/")
    assert (row.title, row.owner) == ("Ren\\xe9", "Ren\\xe9")
    assert link.id == link.path == "https://host/ren\\xe9.mp4"
    assert number.id == "x/7"


def test_what_is_no_archive_is_said_plainly(folder: Path) -> None:
    with pytest.raises(SourceNotFound, match="is not a folder, list or bucket"):
        open_archive(str(folder / "none"))
    (folder / "list.csv").write_text("name\na.mp4\n")
    with pytest.raises(InvalidRequest, match="must have one of the columns"):
        list(open_archive(str(folder / "list.csv")))
    (folder / "list.parquet").write_bytes(b"not Parquet")
    with pytest.raises(InvalidRequest, match="Parquet"):
        list(open_archive(str(folder / "list.parquet")))


def test_a_folder_that_cannot_be_read_becomes_an_item_that_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def refused(place: Path) -> object:
        if place.name == "b":
            raise PermissionError(13, "Permission denied")
        return scan(place)

    monkeypatch.setattr(os, "scandir", refused)
    assert "b" in ids(list(open_archive(str(folder))))


def test_a_hundred_thousand_entries_come_as_a_stream(tmp_path: Path) -> None:
    listing = tmp_path / "list.txt"
    listing.write_text("".join(f"{number}.mp4\n" for number in range(100_000)))
    items = iter(open_archive(str(listing)))
    assert next(items).id == "0.mp4"
    assert sum(1 for _ in items) == 99_999


def test_a_large_folder_takes_a_few_hundred_bytes_of_memory_for_each_file(tmp_path: Path) -> None:
    folder = tmp_path / "large"
    folder.mkdir()
    for number in range(100_000):
        os.close(os.open(folder / f"{number:06}.mp4", os.O_CREAT | os.O_WRONLY))
    tracemalloc.start()
    try:
        items = sum(1 for _ in open_archive(str(folder)))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert items == 100_000
    assert peak_bytes < 100_000 * 400


def test_a_bucket_that_does_not_answer_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(objects, "REQUEST_TIMEOUT_S", 0.5)
    monkeypatch.setattr(objects, "ATTEMPTS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        place = f"s3://bucket/videos?scheme=http&endpoint_override=127.0.0.1:{port}"
        with pytest.raises(SourceUnreachable, match="could not send"):
            open_archive(place)


def test_credentials_do_not_belong_into_an_address() -> None:
    with pytest.raises(ConfigurationError, match="no credentials"):
        open_archive("s3://key:secret@bucket/videos")


def test_tables_may_name_rights(folder: Path) -> None:
    windows = [{"until": "2027-01-01", "territories": ["RU"]}]
    rows = [
        {"path": "a.mp4", "action": "track", "license_windows": windows, "min_copied_s": 3.0},
        {"path": "b.mp4"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "list.parquet")
    with (folder / "list.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows([{**rows[0], "license_windows": json.dumps(windows)}, rows[1]])
    for name in ("list.csv", "list.parquet"):
        first, second = (parse_rights(item.rights) for item in open_archive(str(folder / name)))
        assert (first.action, first.min_copied_s) == ("track", 3.0)
        assert first.license_windows[0].territories == ("RU",)
        assert second == UNRESTRICTED


@pytest.mark.parametrize("name", ["film.mp4", "film", "data.txt"])
def test_a_video_or_other_binary_file_is_no_list(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x00\x00\x00\x20ftypisom\nline\nline")
    with pytest.raises(InvalidRequest, match="is not a list of videos"):
        open_archive(str(tmp_path / name))


def test_a_folder_without_a_video_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no video")
    with pytest.raises(InvalidRequest, match="contains no video"):
        open_archive(str(tmp_path))
