"""Copies of files: which stays, what is done with the others, and that it can be taken back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubl.assembly import feature_spec, make_store
from dubl.errors import ConfigurationError
from dubl.index.rows import Entry
from dubl.media.sources import local_source
from dubl.settings import load_settings
from dubl.types import ReferenceDraft, Segment, VideoFacts
from pipelines import tidying
from pipelines.cli.main import app
from pipelines.duplicates import ComparedPair, DuplicatePairs
from pipelines.tidying import (
    Action,
    File,
    Inventory,
    Journal,
    Pair,
    Planned,
    Refused,
    Tidier,
    digest_of,
    keeper_of,
    plan_equal,
    plan_pairs,
    read_rules,
    undo,
)
from tests.support.stored_videos import random_features


def put(path: Path, content: bytes = b"film", *, mtime_s: int = 1_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (mtime_s, mtime_s))
    return path


def file_at(path: Path, *, root: int = 0, owner: str = "") -> File:
    return File.at(path, root=root, sha256=digest_of(path), owner=owner)


def nothing_known(file: File) -> VideoFacts:
    raise AssertionError(f"{file.path} need not be read")


def planned(
    out: Path, *folders: Path, keep: tuple[str, ...] = (), across: bool = False
) -> list[Planned]:
    failed: list[str] = []
    with Inventory(out / "inventory.duckdb") as inventory:
        inventory.scan(folders, failed)
        inventory.read(failed)
        rules = read_rules(keep, nothing_known)
        found = list(plan_equal(inventory.equal(), rules, across=across))
    assert failed == []
    return found


def names(found: list[Planned]) -> dict[str, str]:
    return {one.copy.path.name: one.keeper.path.name for one in found}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Three equal files and one more of the same size."""
    folder = tmp_path / "archive"
    put(folder / "a.mp4", mtime_s=3_000)
    put(folder / "deep" / "b.mp4", mtime_s=1_000)
    put(folder / "c.mkv", mtime_s=2_000)
    put(folder / "other.mp4", b"flim")
    put(folder / "notes.txt")
    return folder


def perform(action: Action, found: list[Planned], out: Path, *, to: Path | None = None) -> Path:
    path = out / "journal.jsonl"
    with Journal(path) as journal:
        tidier = Tidier(action, journal, to=to)
        for one in found:
            tidier.perform(one)
    return path


def test_equal_files_are_found_and_one_stays(archive: Path, tmp_path: Path) -> None:
    assert names(planned(tmp_path, archive)) == {"b.mp4": "a.mp4", "c.mkv": "a.mp4"}
    assert names(planned(tmp_path, archive, keep=("oldest",))) == {
        "a.mp4": "b.mp4",
        "c.mkv": "b.mp4",
    }
    kept = planned(tmp_path, archive, keep=(f"path:{archive / 'deep'}",))
    assert {one.rule for one in kept} == {f"path:{archive / 'deep'}"}
    assert set(names(kept).values()) == {"b.mp4"}


def test_the_first_rule_that_decides_holds(tmp_path: Path) -> None:
    facts = {
        "small": VideoFacts(duration_s=10, width=320, height=180, codec="av1"),
        "large": VideoFacts(duration_s=10.2, width=1280, height=720, codec="h264"),
        "long": VideoFacts(duration_s=20, width=1280, height=720, codec="h264"),
    }
    sizes = {"small": 10, "large": 5000, "long": 6000}
    files = [file_at(put(tmp_path / name, b"x" * size)) for name, size in sizes.items()]
    files[0] = replace(files[0], owner="Studio")

    def stays(*texts: str) -> tuple[str, str]:
        keeper, rule = keeper_of(files, read_rules(texts, lambda one: facts[one.path.name]))
        return keeper.path.name, rule

    assert stays("resolution", "duration") == ("long", "duration")
    assert stays("resolution", "bitrate") == ("large", "bitrate")
    assert stays("duration") == ("long", "duration")
    assert stays("codec:av1,h264") == ("small", "codec:av1,h264")
    assert stays("owner:Studio", "resolution") == ("small", "owner:Studio")
    assert stays() == ("large", "name")
    for wrong in ("best", "codec", "path:", "owner:"):
        with pytest.raises(ConfigurationError, match="is no rule"):
            read_rules([wrong], nothing_known)


def test_hard_links_of_a_file_are_one_copy(archive: Path, tmp_path: Path) -> None:
    (archive / "link.mp4").hardlink_to(archive / "a.mp4")
    (archive / "alias.mp4").symlink_to(archive / "a.mp4")
    assert names(planned(tmp_path, archive)) == {"b.mp4": "a.mp4", "c.mkv": "a.mp4"}


def test_only_copies_in_another_folder(tmp_path: Path) -> None:
    for name in ("one/a.mp4", "one/b.mp4", "two/c.mp4"):
        put(tmp_path / name)
    put(tmp_path / "one" / "x.mp4", b"only here")
    put(tmp_path / "one" / "y.mp4", b"only here")
    found = planned(tmp_path, tmp_path / "one", tmp_path / "two", across=True)
    assert names(found) == {"c.mp4": "a.mp4"}


def test_unchanged_files_are_read_once(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(path: Path) -> str:
        read.append(path.name)
        return digest_of(path)

    monkeypatch.setattr(tidying, "digest_of", counted)
    planned(tmp_path, archive)
    assert sorted(read) == ["a.mp4", "b.mp4", "c.mkv", "other.mp4"]
    read.clear()
    put(archive / "c.mkv", b"fil!")
    assert names(planned(tmp_path, archive)) == {"b.mp4": "a.mp4"}
    assert read == ["c.mkv"]
    (archive / "a.mp4").unlink()
    assert planned(tmp_path, archive) == []


@pytest.mark.parametrize(("commit_s", "read_again"), [(0.0, 2), (1e6, 4)])
def test_a_killed_run_reads_again_what_was_not_committed(
    archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    commit_s: float,
    read_again: int,
) -> None:
    """Hashes are committed many at once, as a commit takes longer than the hash of a small file."""
    read: list[Path] = []

    def killed(path: Path) -> str:
        read.append(path)
        if len(read) == 3:
            raise KeyboardInterrupt
        return digest_of(path)

    monkeypatch.setattr(tidying, "COMMIT_S", commit_s)
    monkeypatch.setattr(tidying, "digest_of", killed)
    with pytest.raises(KeyboardInterrupt):
        planned(tmp_path, archive)
    read.clear()
    read.extend([archive] * 3)
    assert names(planned(tmp_path, archive)) == {"b.mp4": "a.mp4", "c.mkv": "a.mp4"}
    assert len(read) - 3 == read_again


def test_names_that_are_no_text_are_files_too(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    put(folder / os.fsdecode(b"\xff.mp4"))
    put(folder / "z.mp4")
    found = planned(tmp_path, folder)
    assert names(found) == {os.fsdecode(b"\xff.mp4"): "z.mp4"}
    journal = perform(Action.DELETE, found, tmp_path)
    assert [one.name for one in folder.iterdir()] == ["z.mp4"]
    assert undo(journal).files == 0


def test_links_are_made_and_taken_back(archive: Path, tmp_path: Path) -> None:
    journal = perform(Action.LINK, planned(tmp_path, archive), tmp_path)
    copies = [archive / "deep" / "b.mp4", archive / "c.mkv"]
    assert all(one.samefile(archive / "a.mp4") for one in copies)
    assert planned(tmp_path, archive) == []
    assert (undo(journal).files, undo(journal).files) == (2, 0)
    assert not any(one.samefile(archive / "a.mp4") for one in copies)
    assert [one.read_bytes() for one in copies] == [b"film"] * 2
    assert [one.stat().st_mtime for one in copies] == [1_000, 2_000]
    assert sorted(one.name for one in archive.rglob("*.dubl-tidy")) == []


@pytest.mark.parametrize("same_disk", [True, False])
def test_quarantined_files_come_back(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_disk: bool
) -> None:
    if not same_disk:

        def refused(*_: object) -> None:
            raise OSError("Invalid cross-device link")

        monkeypatch.setattr(Path, "hardlink_to", refused)
    before = {one: one.stat().st_mtime for one in archive.rglob("*.m*")}
    to = tmp_path / "copies"
    journal = perform(Action.QUARANTINE, planned(tmp_path, archive), tmp_path, to=to)
    assert sorted(one.name for one in to.rglob("*.m*")) == ["b.mp4", "c.mkv"]
    assert sorted(one.name for one in archive.rglob("*.m*")) == ["a.mp4", "other.mp4"]
    assert undo(journal).files == 2
    assert {one: one.stat().st_mtime for one in archive.rglob("*.m*")} == before


def test_what_stands_in_the_place_is_not_overwritten(archive: Path, tmp_path: Path) -> None:
    found = planned(tmp_path, archive)
    journal = perform(Action.QUARANTINE, found, tmp_path, to=tmp_path / "copies")
    put(archive / "c.mkv", b"new")
    undone = undo(journal)
    assert undone.files == 1
    assert [text.endswith("another file is there now") for text in undone.left] == [True]
    assert (archive / "c.mkv").read_bytes() == b"new"


def test_deleted_files_stay_deleted_and_it_is_said(archive: Path, tmp_path: Path) -> None:
    journal = perform(Action.DELETE, planned(tmp_path, archive), tmp_path)
    assert sorted(one.name for one in archive.rglob("*.m*")) == ["a.mp4", "other.mp4"]
    undone = undo(journal)
    assert (undone.files, len(undone.left)) == (0, 2)
    assert "cannot be brought back" in undone.left[0]


CHANGES: dict[str, Callable[[Path], object]] = {
    "the copy has other bytes": lambda folder: put(folder / "c.mkv", b"new film", mtime_s=2_000),
    "the copy has other bytes of that size and time": lambda folder: (
        (folder / "c.mkv").write_bytes(b"flim"),
        os.utime(folder / "c.mkv", (2_000, 2_000)),
    ),
    "the file that stays has changed": lambda folder: put(folder / "a.mp4", b"new"),
    "the file that stays is gone": lambda folder: (folder / "a.mp4").unlink(),
    "the copy is gone": lambda folder: (folder / "c.mkv").unlink(),
    "both are one file by now": lambda folder: (
        (folder / "c.mkv").unlink(),
        (folder / "c.mkv").hardlink_to(folder / "a.mp4"),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("action", [Action.LINK, Action.QUARANTINE, Action.DELETE])
def test_what_changed_is_left_as_it_is(
    archive: Path, tmp_path: Path, change: str, action: Action
) -> None:
    found = [one for one in planned(tmp_path, archive) if one.copy.path.name == "c.mkv"]
    CHANGES[change](archive)
    left = {one.name: one.read_bytes() for one in archive.rglob("*.m*")}
    with pytest.raises(Refused):
        perform(action, found, tmp_path, to=tmp_path / "copies")
    assert {one.name: one.read_bytes() for one in archive.rglob("*.m*")} == left
    assert (tmp_path / "journal.jsonl").read_text() == ""


@pytest.mark.parametrize("action", [Action.LINK, Action.QUARANTINE])
def test_an_act_that_was_cut_off_is_done_again_or_taken_back(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: Action
) -> None:
    """The power fails behind the journal's line, or between the steps of a move."""
    before = {one: one.read_bytes() for one in archive.rglob("*.m*")}
    to = tmp_path / "copies"
    for step in ("hardlink_to", "unlink" if action is Action.QUARANTINE else "replace"):

        def failing(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Path, step, failing)
            with pytest.raises(KeyboardInterrupt):
                perform(action, planned(tmp_path, archive), tmp_path, to=to)
        journal = tmp_path / "journal.jsonl"
        with journal.open("a") as file:
            file.write('{"act": "beg')  # a line that was cut off
        undo(journal)
        assert {one: one.read_bytes() for one in archive.rglob("*.m*")} == before
    perform(action, planned(tmp_path, archive), tmp_path, to=to)
    assert planned(tmp_path, archive) == []
    undo(tmp_path / "journal.jsonl")
    assert {one: one.read_bytes() for one in archive.rglob("*.m*")} == before


def test_a_run_goes_on_behind_a_line_that_was_cut_off(archive: Path, tmp_path: Path) -> None:
    found = planned(tmp_path, archive)
    journal = perform(Action.LINK, found[:1], tmp_path)
    with journal.open("a") as file:
        file.write('{"act": "beg')
    perform(Action.LINK, found[1:], tmp_path)
    assert [json.loads(line)["act"] for line in journal.read_text().splitlines()] == [
        *("begin", "done"),
        *("begin", "done"),
    ]
    assert undo(journal).files == 2


def test_a_link_to_what_has_changed_since_is_left(archive: Path, tmp_path: Path) -> None:
    journal = perform(Action.LINK, planned(tmp_path, archive)[:1], tmp_path)
    (archive / "a.mp4").write_bytes(b"edited")
    undone = undo(journal)
    assert (undone.files, len(undone.left)) == (0, 1)
    assert "has changed since" in undone.left[0]
    assert (archive / "c.mkv").samefile(archive / "a.mp4")
    assert list(archive.rglob("*.dubl-tidy")) == []


def test_a_move_to_a_full_disk_leaves_the_file_and_nothing_else(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError("Invalid cross-device link")

    def full(_: Path, target: Path) -> None:
        target.write_bytes(b"fi")
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    monkeypatch.setattr("shutil.copy2", full)
    to = tmp_path / "copies"
    with pytest.raises(OSError, match="No space left"):
        perform(Action.QUARANTINE, planned(tmp_path, archive), tmp_path, to=to)
    assert [one for one in to.rglob("*") if one.is_file()] == []
    assert (archive / "c.mkv").read_bytes() == b"film"


def test_all_names_of_a_copy_are_taken(archive: Path, tmp_path: Path) -> None:
    (archive / "d.mp4").hardlink_to(archive / "c.mkv")
    found = planned(tmp_path, archive)
    assert names(found) == {"b.mp4": "a.mp4", "c.mkv": "a.mp4", "d.mp4": "a.mp4"}
    perform(Action.LINK, found, tmp_path)
    assert (archive / "a.mp4").stat().st_nlink == 4


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no\njournal\n")
    (tmp_path / "numbers").write_text("1\n2\n")
    for path in (tmp_path / "x", tmp_path / "numbers", tmp_path / "none"):
        with pytest.raises(ConfigurationError, match="is no journal"):
            undo(path)


def test_of_pairs_only_whole_copies_are_taken_and_none_that_something_stands_for(
    tmp_path: Path,
) -> None:
    a, b, c, part = (file_at(put(tmp_path / name, name.encode())) for name in ("a", "b", "c", "p"))

    def pair(first: File, second: File, probability: float, covered: float = 1.0) -> Pair:
        return Pair(
            first=first,
            second=second,
            probability=probability,
            first_covered=1.0,
            second_covered=covered,
        )

    found = [
        pair(b, c, 0.97),
        pair(a, b, 0.99),
        pair(a, part, 0.999, covered=0.6),
        pair(c, a, 0.96),
    ]
    plan = list(plan_pairs(found, read_rules([], nothing_known), least_covered=0.98, across=False))
    assert [(one.copy.path.name, one.keeper.path.name) for one in plan] == [("b", "a"), ("c", "a")]
    put(tmp_path / "c", b"C")
    with pytest.raises(Refused, match="is not the file that was compared"):
        perform(Action.DELETE, plan, tmp_path)
    assert not (tmp_path / "b").exists()
    assert (tmp_path / "c").exists()


def test_the_command_plans_acts_and_takes_back(archive: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> tuple[int, dict[str, object]]:
        out = ["--out", str(tmp_path / "out")]
        result = CliRunner().invoke(app, ["tidy", *map(str, arguments), *out])
        lines = result.stdout.strip().splitlines()
        return result.exit_code, json.loads(lines[-1]) if lines else {}

    told = {"files": 4, "copies": 2, "bytes": 8, "applied": False, "left": 0}
    assert run(archive) == (0, told)
    assert "2 copies" in (tmp_path / "out" / "plan.html").read_text()
    assert (tmp_path / "out" / "plan.csv").read_text().count("\n") == 3
    assert run(archive, "--action", "link", "--apply") == (0, {**told, "applied": True})
    assert (archive / "c.mkv").samefile(archive / "a.mp4")
    journal = tmp_path / "out" / "journal.jsonl"
    assert run("--undo", journal) == (0, {"undone": 2, "left": 0})
    assert not (archive / "c.mkv").samefile(archive / "a.mp4")
    for wrong in (
        (),
        (archive / "none",),
        (archive, archive / "deep"),
        (archive, "--action", "quarantine"),
        (archive, "--to", tmp_path / "to"),
        (archive, "--keep", "owner:Studio"),
        (archive, "--action", "quarantine", "--to", archive / "deep"),
        ("--pairs", tmp_path),
        ("--pairs", tmp_path, "--min-probability", ".9", "--action", "link"),
    ):
        assert run(*wrong)[0] == 2, wrong


def test_pairs_that_a_search_confirmed_are_acted_on_at_the_named_probability(
    tmp_path: Path,
) -> None:
    data, archive, out = tmp_path / "data", tmp_path / "archive", tmp_path / "out"
    settings = load_settings(overrides=[f"data_dir={data}"], environment={})
    paths = {name: put(archive / f"{name}.mp4", name.encode()) for name in ("film", "same", "part")}
    entries = []
    for seed, (name, path) in enumerate(paths.items()):
        source = local_source(path, name=str(path))
        features = replace(random_features(settings, seed=seed), duration_s=10.0)
        entries.append(Entry(draft=ReferenceDraft(id=name), source=source, features=features))
    make_store(settings).register(entries)
    space_id = feature_spec(settings).space_id
    with DuplicatePairs(out / "pairs.duckdb", library="main", space_id=space_id) as pairs:
        pairs.add_candidates([("film", ["same", "part"])])
        for other, seconds, probability in (("same", 10.0, 0.97), ("part", 4.0, 0.99)):
            a, b = sorted(("film", other))
            segment = Segment(
                query_start_s=0.0,
                query_end_s=seconds,
                reference_start_s=0.0,
                reference_end_s=seconds,
                similarity=0.9,
            )
            one = ComparedPair(
                a=a, b=b, probability=probability, similarity=0.9, segments=(segment,)
            )
            pairs.add_compared([one])

    def run(least: float) -> dict[str, object]:
        arguments = ["tidy", "--pairs", out, "--data", data, "--out", tmp_path / "tidy"]
        arguments += ["--action", "delete", "--apply", "--min-probability", least]
        result = CliRunner().invoke(app, list(map(str, arguments)))
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout.strip().splitlines()[-1])
        assert isinstance(found, dict)
        return found

    assert run(0.98)["copies"] == 0
    assert run(0.95)["copies"] == 1
    assert sorted(one.name for one in archive.iterdir()) == ["film.mp4", "part.mp4"]
