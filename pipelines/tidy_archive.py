"""Puts an archive in order: finds files that are copies, and lists, links, moves or deletes them.

    python -m pipelines.tidy_archive ARCHIVE --keep path:ARCHIVE/masters --keep oldest
    python -m pipelines.tidy_archive ARCHIVE --action link --apply
    python -m pipelines.tidy_archive --pairs duplicates/ --min-probability .99 --apply \\
        --action quarantine --to /archive/copies
    python -m pipelines.tidy_archive --undo tidy/journal.jsonl

Files of equal bytes are found in folders; other copies are those that `dedupe_archive` has found.
Without --apply nothing is done but a plan: OUT gets `plan.html` and `plan.csv`, and with --apply
`journal.jsonl`. A run goes on from `inventory.duckdb`: hashes of unchanged files are kept.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import typer

from dubl.assembly import feature_spec, make_decoder, make_store
from dubl.errors import ConfigurationError, DublError
from dubl.matching.segments import covered_s
from dubl.media.sources import local_source
from dubl.rendering import render
from dubl.settings import Settings
from dubl.types import Reference, Sampling, Segment, VideoFacts
from pipelines.cli.options import FAILED, on_settings, print_warning
from pipelines.duplicates import DuplicatePairs
from pipelines.tidying import (
    Action,
    File,
    Inventory,
    Journal,
    Pair,
    Planned,
    Refused,
    Tidier,
    as_row,
    plan_equal,
    plan_pairs,
    read_rules,
    undo,
)

SHOWN = 500  # rows of the page
CACHED = 4096  # facts of files, kept
UNKNOWN = VideoFacts(duration_s=0.0, width=0, height=0)  # of what cannot, or need not, be read
LOOK = Sampling(rate_hz=0.01, min_frames=1, frame_size=32)


@on_settings
def main(
    settings: Settings,
    folders: Annotated[list[Path] | None, typer.Argument(help="folders of the archive")] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            help="which file stays: resolution, bitrate, duration, oldest, codec:av1,hevc, "
            "path:FOLDER, owner:NAME; may be repeated, the first that decides holds"
        ),
    ] = None,
    action: Annotated[Action, typer.Option(help="with copies")] = Action.LIST,
    to: Annotated[Path | None, typer.Option(help="folder of quarantined files")] = None,
    across: Annotated[bool, typer.Option(help="only copies in another folder")] = False,
    pairs: Annotated[
        Path | None, typer.Option(help="result of `dubl dedupe`, in place of equal bytes")
    ] = None,
    library: Annotated[str, typer.Option(help="of the pairs")] = "main",
    min_probability: Annotated[
        float | None, typer.Option(min=0, max=1, help="of the pairs; there is no default")
    ] = None,
    min_covered: Annotated[
        float, typer.Option(min=0.5, max=1, help="share of a copy that the other file shows")
    ] = 0.98,
    apply: Annotated[bool, typer.Option("--apply", help="act; otherwise it only plans")] = False,
    out: Annotated[Path, typer.Option(help="folder of plan, journal and inventory")] = Path("tidy"),
    undoing: Annotated[
        Path | None, typer.Option("--undo", help="journal of what is to be taken back")
    ] = None,
) -> None:
    """Prints a JSON summary. Exits with 1 if a file was left as it is, with the reason."""
    if undoing is not None:
        undone = undo(undoing)
        _end({"undone": undone.files}, undone.left)
    named = [folder.resolve() for folder in folders or ()]
    _require_sense(named, pairs, min_probability, action, to)
    if pairs is None and any(text.startswith("owner:") for text in keep or ()):
        raise ConfigurationError("owner: needs --pairs: only references have owners")
    # Files of equal bytes have equal facts: no rule needs to read them.
    facts = _facts_by(settings) if pairs is not None else lambda _: UNKNOWN
    rules = read_rules(keep or [], facts)
    failed: list[str] = []
    with Inventory(out / "inventory.duckdb") as inventory:
        if pairs is None:
            files = inventory.scan(named, failed)
            inventory.read(failed)
            planned = plan_equal(inventory.equal(), rules, across=across)
        else:
            assert min_probability is not None
            found = list(_pairs(settings, pairs, library, named, min_probability, failed))
            files = len({one.path for pair in found for one in (pair.first, pair.second)})
            planned = plan_pairs(found, rules, least_covered=min_covered, across=across)
        summary = _Summary(out)
        tidied = _tidied(planned, action, out, to, failed) if apply else planned
        summary.write(tidied)
    told = {"files": files, "copies": summary.copies, "bytes": summary.size, "applied": apply}
    _end(told, failed)


def _require_sense(
    folders: Sequence[Path],
    pairs: Path | None,
    min_probability: float | None,
    action: Action,
    to: Path | None,
) -> None:
    """Raises ConfigurationError."""
    if pairs is None and not folders:
        raise ConfigurationError("name a folder, or --pairs")
    if pairs is not None and min_probability is None:
        raise ConfigurationError("--pairs needs --min-probability: there is no safe default")
    if pairs is not None and action is Action.LINK:
        raise ConfigurationError("files of other bytes cannot be linked")
    if (action is Action.QUARANTINE) != (to is not None):
        raise ConfigurationError("--action quarantine and --to go together")
    for number, folder in enumerate(folders):
        if not folder.is_dir():
            raise ConfigurationError(f"{folder} is no folder")
        if any(folder.is_relative_to(one) for one in (*folders[:number], *folders[number + 1 :])):
            raise ConfigurationError(f"{folder} lies in another one that is named")
        if to is not None and to.resolve().is_relative_to(folder):
            raise ConfigurationError(f"{to} lies in {folder}: what is there would be found again")


def _facts_by(settings: Settings) -> Callable[[File], VideoFacts]:
    """Facts of files, which are read when a rule needs them."""
    decoder = make_decoder(settings)

    @lru_cache(maxsize=CACHED)
    def facts(path: Path, sha256: str) -> VideoFacts:
        source = local_source(path, name=str(path), sha256=sha256)
        try:
            return decoder.decode(source, sampling=LOOK).facts
        except DublError as exc:
            print_warning(f"{path}: {exc.detail}")
            return UNKNOWN

    return lambda file: facts(file.path, file.sha256)


def _pairs(
    settings: Settings,
    folder: Path,
    library: str,
    folders: Sequence[Path],
    least: float,
    failed: list[str],
) -> Iterator[Pair]:
    """Pairs of the files that references were registered from; `folders`: only of these, if any."""
    path = folder / "pairs.duckdb"
    if not path.is_file():
        raise ConfigurationError(f"{folder} is no result of `dubl dedupe`")
    store = make_store(settings, read_only=True)
    space_id = feature_spec(settings).space_id
    with DuplicatePairs(path, library=library, space_id=space_id) as found:
        for pair in found.matches(min_probability=least):
            known = {one.id: one for one in store.existing(ids=[pair.a, pair.b])}
            if len(known) < 2:
                continue
            sides = [_file(known[name], folders, failed) for name in (pair.a, pair.b)]
            if sides[0] is None or sides[1] is None:
                continue
            turned = [_turned(one) for one in pair.segments]
            yield Pair(
                first=sides[0],
                second=sides[1],
                probability=pair.probability,
                first_covered=covered_s(pair.segments) / max(known[pair.a].duration_s, 1e-3),
                second_covered=covered_s(turned) / max(known[pair.b].duration_s, 1e-3),
            )


def _turned(segment: Segment) -> Segment:
    """With the reference as the query."""
    return replace(
        segment,
        query_start_s=segment.reference_start_s,
        query_end_s=segment.reference_end_s,
        reference_start_s=segment.query_start_s,
        reference_end_s=segment.query_end_s,
    )


def _file(reference: Reference, folders: Sequence[Path], failed: list[str]) -> File | None:
    path = Path(reference.source)
    root = next((at for at, one in enumerate(folders) if path.is_relative_to(one)), None)
    if not path.is_absolute() or (folders and root is None):
        return None  # an upload or a link, or a file of another folder
    try:
        return File.at(path, root=root or 0, sha256=reference.sha256, owner=reference.owner)
    except OSError as exc:
        failed.append(f"{path}, of reference {reference.id}: {exc.strerror}")
        return None


def _tidied(
    planned: Iterable[Planned], action: Action, out: Path, to: Path | None, failed: list[str]
) -> Iterator[Planned]:
    """What was done of a plan."""
    with Journal(out / "journal.jsonl") as journal:
        tidier = Tidier(action, journal, to=to)
        for one in planned:
            try:
                tidier.perform(one)
            except (Refused, OSError) as exc:
                failed.append(f"{one.copy.path}: {exc}")
            else:
                yield one


class _Summary:
    """Writes a plan, or what was done of it, as a table and a page."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self.copies = self.size = 0

    def write(self, planned: Iterable[Planned]) -> None:
        shown: list[dict[str, object]] = []
        with (self._out / "plan.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            for one in planned:
                row = as_row(one)
                if not self.copies:
                    writer.writerow(row)
                writer.writerow(row.values())
                self.copies += 1
                self.size += one.copy.size
                if len(shown) < SHOWN:
                    shown.append(row)
        values = {"rows": shown, "copies": self.copies, "bytes": self.size}
        (self._out / "plan.html").write_text(render("tidy.html", values), encoding="utf-8")


def _end(told: Mapping[str, object], failed: Sequence[str]) -> None:
    for text in failed:
        print_warning(f"left as it is: {text}")
    typer.echo(json.dumps({**told, "left": len(failed)}))
    raise typer.Exit(FAILED if failed else 0)


if __name__ == "__main__":
    typer.run(main)
