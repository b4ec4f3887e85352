"""Archives in order: what is planned for copies of files, done, and undone.

Nothing is done to a file that is not byte-equal to the one that stays, or the copy of a pair at a
threshold that the user names; nor to what changed since it was read; nor to the last copy.
"""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dubl.closing import Closing
from dubl.contract.names import plain_text
from dubl.errors import ConfigurationError, StoreUnavailable
from dubl.ledger.clock import utc_now
from dubl.media.kinds import is_video
from dubl.types import VideoFacts

ROWS_AT_ONCE = 10_000
COMMIT_S = 10.0  # hashes of as many seconds are done again after a kill
NOT_LINKED = "is on another file system than the file that stays"
TEMPORARY = ".dubl-tidy"  # ends the names of files that are being written
LONGEST_LINE = 1 << 20  # bytes of a journal's line; its three paths have at most 4 096 each

COLUMNS = ("path", "root", "size", "mtime_ns", "device", "inode")
SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, root INTEGER, size BIGINT, mtime_ns BIGINT, device BIGINT, inode BIGINT,
    sha256 VARCHAR, run INTEGER
);
"""
MERGE = """
INSERT INTO files SELECT path, root, size, mtime_ns, device, inode, '', ? FROM found
ON CONFLICT (path) DO UPDATE SET root = excluded.root, device = excluded.device,
    inode = excluded.inode, run = excluded.run,
    sha256 = CASE WHEN size = excluded.size AND mtime_ns = excluded.mtime_ns
        THEN sha256 ELSE '' END,
    size = excluded.size, mtime_ns = excluded.mtime_ns
"""
NOTE = "UPDATE files SET sha256 = hashed.sha256 FROM hashed WHERE files.path = hashed.path"
# Hard links of one file are one copy of it.
UNREAD = """
SELECT path FROM files WHERE sha256 = '' AND size > 0 AND size IN (
    SELECT size FROM files GROUP BY size HAVING count(DISTINCT (device, inode)) > 1
) ORDER BY path
"""
EQUAL = """
SELECT path, root, size, mtime_ns, device, inode, sha256 FROM files WHERE sha256 <> ''
    AND sha256 IN (SELECT sha256 FROM files WHERE sha256 <> '' GROUP BY sha256
        HAVING count(DISTINCT (device, inode)) > 1)
ORDER BY sha256, path
"""


class Action(StrEnum):
    """What is done with a copy. Only DELETE cannot be undone."""

    LIST = "list"
    LINK = "link"
    QUARANTINE = "quarantine"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file as it was read. `root`: place of its folder among those that were named. `owner`: of
    its reference, if it is one."""

    path: Path
    root: int
    size: int
    mtime_ns: int
    device: int
    inode: int
    sha256: str
    owner: str = ""

    @property
    def identity(self) -> tuple[int, int]:
        """The same for hard links."""
        return self.device, self.inode

    @classmethod
    def at(cls, path: Path, *, root: int = 0, sha256: str, owner: str = "") -> File:
        """Raises OSError."""
        found = path.stat(follow_symlinks=False)
        return cls(
            path=path,
            root=root,
            size=found.st_size,
            mtime_ns=found.st_mtime_ns,
            device=found.st_dev,
            inode=found.st_ino,
            sha256=sha256,
            owner=owner,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A copy, the file that stays in its place, and the rule that decided between them.

    probability: that it is a copy; None for equal bytes.
    """

    copy: File
    keeper: File
    rule: str
    probability: float | None = None


Facts = Callable[[File], VideoFacts]
Rank = Callable[[File], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The file with the lowest rank stays."""

    name: str
    rank: Rank


LAST_RULE = Rule(name="name", rank=lambda one: str(one.path))


def read_rules(texts: Sequence[str], facts: Facts) -> tuple[Rule, ...]:
    """Rules from `resolution`, `bitrate`, `duration`, `oldest`, `codec:av1,hevc`, `path:PREFIX` and
    `owner:NAME`; then by name. Raises ConfigurationError."""
    plain: dict[str, Rank] = {
        "resolution": lambda one: -facts(one).width * facts(one).height,
        "bitrate": lambda one: -one.size / max(facts(one).duration_s, 1e-3),
        "duration": lambda one: -round(facts(one).duration_s),
        "oldest": lambda one: one.mtime_ns,
    }
    return (*(_rule(text, plain, facts) for text in texts), LAST_RULE)


def _rule(text: str, plain: dict[str, Rank], facts: Facts) -> Rule:
    kind, _, value = text.partition(":")
    if text in plain:
        return Rule(name=text, rank=plain[text])
    if kind == "path" and value:
        folder = Path(value).resolve()
        return Rule(name=text, rank=lambda one: not one.path.is_relative_to(folder))
    if kind == "owner" and value:
        return Rule(name=text, rank=lambda one: one.owner != value)
    if kind == "codec" and value:
        codecs = value.split(",")
        return Rule(name=text, rank=lambda one: _place(codecs, facts(one).codec))
    raise ConfigurationError(
        f"'{text}' is no rule. Rules are {', '.join(plain)}, codec:NAME,NAME, path:FOLDER, "
        "owner:NAME."
    )


def _place(wanted: Sequence[str], value: str) -> int:
    return wanted.index(value) if value in wanted else len(wanted)


def keeper_of(files: Sequence[File], rules: Sequence[Rule]) -> tuple[File, str]:
    """The file that stays, and the rule that decided: each leaves those with its lowest rank."""
    left, decided = list(files), LAST_RULE.name
    for rule in rules:
        if len(left) == 1:
            break
        ranks = [rule.rank(one) for one in left]
        least = min(ranks)
        rest = [one for one, rank in zip(left, ranks, strict=True) if rank == least]
        if len(rest) < len(left):
            decided = rule.name
        left = rest
    return left[0], decided


class Inventory(Closing):
    """The files of folders, with their hashes, in a DuckDB file from which a run goes on.

    Raises StoreUnavailable while another run uses the file.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = duckdb.connect(str(path))
            self._database.execute(SCHEMA)
        except (OSError, duckdb.Error) as exc:
            raise StoreUnavailable(f"{path} cannot be opened: {exc}") from exc

    def close(self) -> None:
        self._database.close()

    def scan(self, folders: Sequence[Path], failed: list[str]) -> int:
        """Notes the videos below folders; returns their number. Links are not followed.

        What cannot be read is added to `failed`.
        """
        newest = self._database.execute("SELECT coalesce(max(run), 0) FROM files").fetchall()
        run = newest[0][0] + 1
        found = (row for root, folder in enumerate(folders) for row in _walk(folder, root, failed))
        count = 0
        for rows in _chunks(found, ROWS_AT_ONCE):
            self._with("found", COLUMNS, rows, MERGE, [run])
            count += len(rows)
        self._database.execute("DELETE FROM files WHERE run <> ?", [run])
        return count

    def read(self, failed: list[str]) -> None:
        """Hashes the files of equal size that were not; `failed` as in `scan`."""
        hashed: list[tuple[bytes, str]] = []
        written_s = time.monotonic()
        for (name,) in self._database.execute(UNREAD).fetchall():
            path = Path(os.fsdecode(name))
            try:
                hashed.append((name, digest_of(path)))
            except OSError as exc:
                failed.append(f"{path}: {exc.strerror}")
            if len(hashed) >= ROWS_AT_ONCE or time.monotonic() - written_s >= COMMIT_S:
                self._note(hashed)
                hashed, written_s = [], time.monotonic()
        self._note(hashed)

    def _note(self, hashed: Sequence[tuple[bytes, str]]) -> None:
        if hashed:
            self._with("hashed", ("path", "sha256"), hashed, NOTE)

    def _with(
        self,
        name: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        statement: str,
        values: Sequence[object] = (),
    ) -> None:
        """Runs a statement that reads these rows as a table of this name."""
        filled = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
        self._database.register(name, pa.table(filled))
        self._database.execute(statement, list(values))
        self._database.unregister(name)

    def equal(self) -> Iterator[list[File]]:
        """Files of equal bytes, group by group."""
        result = self._database.cursor().execute(EQUAL)
        files = (
            File(
                path=Path(os.fsdecode(row[0])),
                root=row[1],
                size=row[2],
                mtime_ns=row[3],
                device=row[4],
                inode=row[5],
                sha256=row[6],
            )
            for row in iter(result.fetchone, None)
        )
        for _, group in groupby(files, key=lambda one: one.sha256):
            yield list(group)


def _walk(
    folder: Path, root: int, failed: list[str]
) -> Iterator[tuple[bytes, int, int, int, int, int]]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as exc:
        failed.append(f"{folder}: {exc.strerror}")
        return
    for path in entries:
        try:
            found = path.stat(follow_symlinks=False)
        except OSError as exc:
            failed.append(f"{path}: {exc.strerror}")
            continue
        if stat.S_ISDIR(found.st_mode):
            yield from _walk(path, root, failed)
        elif stat.S_ISREG(found.st_mode) and path.suffix != TEMPORARY and is_video(path):
            yield (
                os.fsencode(path),
                root,
                found.st_size,
                found.st_mtime_ns,
                found.st_dev,
                found.st_ino,
            )


def _chunks(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plan_equal(
    groups: Iterable[Sequence[File]], rules: Sequence[Rule], *, across: bool
) -> Iterator[Planned]:
    """All files of a group but the one that stays; with `across` only those of other folders."""
    for group in groups:
        if across and len({one.root for one in group}) < 2:
            continue
        keeper, rule = keeper_of(group, rules)
        for one in group:
            if one.identity == keeper.identity or (across and one.root == keeper.root):
                continue
            yield Planned(copy=one, keeper=keeper, rule=rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two files, one of which is a copy of the other. `first_covered`, `second_covered`: shares of
    them that the other one shows."""

    first: File
    second: File
    probability: float
    first_covered: float
    second_covered: float


def plan_pairs(
    pairs: Iterable[Pair], rules: Sequence[Rule], *, least_covered: float, across: bool
) -> Iterator[Planned]:
    """Copies that are shown nearly whole by the file that stays, surest first.

    A file that stays in the place of another one is not taken itself.
    """
    kept: set[Path] = set()
    gone: set[Path] = set()
    for pair in sorted(pairs, key=lambda one: -one.probability):
        sides = {pair.first.path: pair.first_covered, pair.second.path: pair.second_covered}
        if across and pair.first.root == pair.second.root:
            continue
        keeper, rule = keeper_of([pair.first, pair.second], rules)
        copy = pair.second if keeper is pair.first else pair.first
        whole = sides[copy.path] >= least_covered
        if not whole or copy.identity == keeper.identity:
            continue
        if copy.path in kept or copy.path in gone or keeper.path in gone:
            continue
        kept.add(keeper.path)
        gone.add(copy.path)
        yield Planned(copy=copy, keeper=keeper, rule=rule, probability=pair.probability)


class Journal(Closing):
    """What was done, a JSON line each, on the disk before it is done.

    A last line that was cut off is removed: what it was to tell was not begun. Raises OSError.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(0, size - LONGEST_LINE))
        end = self._file.read()
        self._file.truncate(size - len(end) + end.rfind(b"\n") + 1)
        _sync_folder(path.parent)

    def close(self) -> None:
        self._file.close()

    def write(self, **entry: object) -> None:
        self._file.write(json.dumps({"at": utc_now(), **entry}).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _sync_folder(folder: Path) -> None:
    """Puts the names of a folder on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Refused(Exception):
    """A file is left as it is, for this reason."""


class Tidier:
    """Does what is planned. `to`: folder of quarantined files."""

    def __init__(self, action: Action, journal: Journal, *, to: Path | None = None) -> None:
        self._action, self._journal, self._to = action, journal, to

    def perform(self, planned: Planned) -> None:
        """Raises Refused if something changed meanwhile, and OSError."""
        copy, keeper = planned.copy, planned.keeper
        _require_unchanged(copy)
        _require_unchanged(keeper)
        _require_copy(planned)
        target = self._target(copy) if self._action is Action.QUARANTINE else Path()
        if self._action is Action.LINK and copy.device != keeper.device:
            raise Refused(f"{copy.path} {NOT_LINKED}")
        entry = {
            "action": self._action.value,
            "copy": str(copy.path),
            "keeper": str(keeper.path),
            "sha256": copy.sha256,
            "mtime_ns": copy.mtime_ns,
            "to": str(target),
        }
        self._journal.write(act="begin", **entry)
        if self._action is Action.LINK:
            _replace_by_link(copy.path, keeper.path)
        elif self._action is Action.QUARANTINE:
            _move(copy.path, target)
        elif self._action is Action.DELETE:
            copy.path.unlink()
        self._journal.write(act="done", **entry)

    def _target(self, copy: File) -> Path:
        assert self._to is not None
        path = copy.path
        place = self._to.resolve() / copy.sha256[:12]
        place.mkdir(parents=True, exist_ok=True)
        _sync_folder(place.parent)
        for number in range(1, 10_000):
            name = path.name if number == 1 else f"{path.stem}-{number}{path.suffix}"
            if not (place / name).exists():
                return place / name
        raise Refused(f"{place} has too many files of one name")


def _require_unchanged(file: File) -> None:
    try:
        now = file.path.stat(follow_symlinks=False)
    except FileNotFoundError as exc:
        raise Refused(f"{file.path} is not there any more") from exc
    if (now.st_size, now.st_mtime_ns, now.st_dev, now.st_ino) != (
        file.size,
        file.mtime_ns,
        file.device,
        file.inode,
    ):
        raise Refused(f"{file.path} has changed since it was read")


def _require_copy(planned: Planned) -> None:
    """Bytes are read again: both are what they were when the plan was made."""
    copy, keeper = planned.copy, planned.keeper
    if copy.identity == keeper.identity:
        raise Refused(f"{copy.path} and {keeper.path} are the same file")
    if planned.probability is None:
        filecmp.clear_cache()
        if not filecmp.cmp(copy.path, keeper.path, shallow=False):
            raise Refused(f"{copy.path} and {keeper.path} are not equal any more")
        return
    for one in (copy, keeper):
        if digest_of(one.path) != one.sha256:
            raise Refused(f"{one.path} is not the file that was compared")


def _beside(path: Path) -> Path:
    """A name for what will take the path's place; what was left there is removed."""
    temporary = path.with_name(f"{path.name}{TEMPORARY}")
    temporary.unlink(missing_ok=True)
    return temporary


def _replace_by_link(copy: Path, keeper: Path) -> None:
    temporary = _beside(copy)
    temporary.hardlink_to(keeper)
    temporary.replace(copy)


def _move(source: Path, target: Path) -> None:
    """Moves a file to a free name, also to another file system; nothing is overwritten."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:  # another file system, or one without links
        _copy(source, target)
    _sync_folder(target.parent)
    source.unlink()


def _copy(source: Path, target: Path) -> None:
    part = _beside(target)
    try:
        shutil.copy2(source, part)
        if digest_of(part) != digest_of(source):
            raise Refused(f"{source} could not be copied unchanged")
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """Numbers of files that are back, and what could not be undone, with the reason."""

    files: int
    left: tuple[str, ...]


def undo(path: Path) -> Undone:
    """Takes back what a journal says was done or begun, the last first; twice is as once.

    Raises ConfigurationError for what is no journal.
    """
    begun = _begun(path)
    files, left = 0, []
    with path.open("rb") as lines, Journal(path) as journal:
        for place in reversed(begun):
            lines.seek(place)
            entry = json.loads(lines.readline())
            try:
                if _take_back(entry):
                    files += 1
                    journal.write(act="undone", copy=entry["copy"])
            except (OSError, Refused) as exc:
                left.append(f"{entry['copy']}: {exc}")
    return Undone(files=files, left=tuple(left))


def _begun(path: Path) -> list[int]:
    """Places of the journal's whole lines that tell what was begun, in bytes."""
    begun, place = [], 0
    try:
        with path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n") and json.loads(line)["act"] == "begin":
                    begun.append(place)
                place += len(line)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ConfigurationError(f"{path} is no journal: {exc}") from exc
    return begun


def _take_back(entry: dict[str, Any]) -> bool:
    """Whether there was something to take back."""
    action, copy = Action(entry["action"]), Path(entry["copy"])
    _beside(copy)
    if action is Action.LINK:
        return _own_bytes_again(copy, Path(entry["keeper"]), entry)
    if action is Action.QUARANTINE:
        return _moved_back(copy, Path(entry["to"]))
    if not copy.exists():
        raise Refused("what was deleted cannot be brought back")
    return False


def _moved_back(copy: Path, moved: Path) -> bool:
    if not moved.exists():
        return False
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        _move(moved, copy)
    elif copy.samefile(moved):  # it was cut off between both steps
        moved.unlink()
    else:
        raise Refused("another file is there now")
    return True


def _own_bytes_again(copy: Path, keeper: Path, entry: dict[str, Any]) -> bool:
    if not copy.exists() or not keeper.exists() or not copy.samefile(keeper):
        return False
    temporary = _beside(copy)
    try:
        shutil.copy2(keeper, temporary)
        if digest_of(temporary) != entry["sha256"]:
            raise Refused(f"its bytes are those of {keeper}, which has changed since")
        os.utime(temporary, ns=(entry["mtime_ns"], entry["mtime_ns"]))
        temporary.replace(copy)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def as_row(planned: Planned) -> dict[str, object]:
    """For tables and pages."""
    return {
        "copy": plain_text(str(planned.copy.path)),
        "keeper": plain_text(str(planned.keeper.path)),
        "rule": planned.rule,
        "bytes": planned.copy.size,
        "probability": planned.probability,
        "sha256": planned.copy.sha256,
    }
