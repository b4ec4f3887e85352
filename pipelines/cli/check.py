"""`dubl check`: checks whether videos copy a reference of the library."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from dubl.contract.bodies import Check
from dubl.contract.names import plain_text
from dubl.errors import SourceNotFound
from pipelines.cli.options import (
    FAILED,
    AsJson,
    Backend,
    on_backend,
    one_of_many,
    print_warning,
    with_folders,
)
from pipelines.cli.show import Bar, print_json, print_table, progress_bar, seconds

EXITS = {"unique": 0, "duplicate": 10, "review": 11}
HEADINGS = ("video", "verdict", "probability", "reference", "video s", "reference s", "why")
LINKS = ("http://", "https://")


@on_backend
def check(
    backend: Backend,
    videos: Annotated[list[str], typer.Argument(help="files, folders or links", metavar="VIDEO")],
    library: Annotated[
        list[str] | None, typer.Option(help="may be repeated; default: all libraries")
    ] = None,
    channel: Annotated[str, typer.Option(help="channel where the video will be shown")] = "",
    territory: Annotated[str, typer.Option(help="country, two letters")] = "",
    time: Annotated[str, typer.Option(help="time for licenses, ISO 8601; default: now")] = "",
    fingerprint_first: Annotated[
        bool, typer.Option(help="send a file's features, and the file only if they leave doubt")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Checks videos with a service (--url), or with the data folder in this process.

    Exit codes: 1 if a video could not be checked, or was compared with no reference; else 10 if
    one is a duplicate; else 11 if one needs review; else 0, all are unique.
    """
    videos = _expanded(videos)
    _require_files(videos)
    with progress_bar(len(videos)) as bar:
        ask = partial(
            backend.check,
            libraries=library or [],
            channel=channel,
            territory=territory,
            time=time,
            on_progress=bar.stage if bar.shown else None,
        )
        answers = [_asked(ask, video, bar, first=fingerprint_first) for video in videos]
    found = [answer for answer in answers if answer is not None]
    if as_json:
        for answer in found:
            print_json(answer)
    elif found:
        print_table(HEADINGS, [row for answer in found for row in _rows(answer)])
    blind = [answer for answer in found if answer.searched and not answer.searched.references]
    for answer in blind:
        print_warning(_told_blind(answer))
    raise typer.Exit(_exit_code(found, failed=bool(blind) or len(found) < len(videos)))


def _told_blind(answer: Check) -> str:
    assert answer.searched is not None
    where = ", ".join(answer.searched.libraries) or "any library"
    return (
        f"{answer.query_name} was compared with nothing: no reference is in {where}. "
        "Register references first: `dubl references add`."
    )


def _expanded(videos: list[str]) -> list[str]:
    """The videos, with folders replaced by the videos in them."""
    for video in videos:
        if Path(video).is_file() and video.lower().endswith(".zip"):
            raise typer.BadParameter(
                f"'{plain_text(video)}' is a zip. Unpack it and name the folder, or send it to a "
                "service: POST /v1/batches."
            )
    return with_folders(videos)


def _require_files(videos: list[str]) -> None:
    """Raises BadParameter if there is no video at all; a single absent one fails alone."""
    if not any(video.startswith(LINKS) or Path(video).is_file() for video in videos):
        shown = plain_text(videos[0])
        raise typer.BadParameter(f"file '{shown}' does not exist", param_hint="VIDEO")


def _asked(ask: Callable[..., Check], video: str, bar: Bar, *, first: bool) -> Check | None:
    """The answer; None after an error of this video, so that the others are still checked."""
    bar.begin(plain_text(video))
    answer = None
    with one_of_many(video):
        if video.startswith(LINKS):
            answer = ask("", link=video)
        elif Path(video).is_file():
            answer = ask(video, link="", send="fingerprint-first" if first else "file")
        else:
            raise SourceNotFound("the file does not exist")
    bar.end()
    return answer


def _rows(answer: Check) -> list[tuple[str, ...]]:
    name = answer.query_name
    base = (name, answer.outcome, f"{answer.probability:.2f}")
    rows = [
        (
            match.reference_id,
            seconds(part.query_start_s, part.query_end_s),
            seconds(part.reference_start_s, part.reference_end_s),
            "; ".join(filter(None, [match.rights.reason, match.sound_reason, match.limit_reason])),
        )
        for match in (*answer.matches, *answer.audio_matches)
        for part in match.segments
    ]
    if not rows:
        return [(*base, "", "", "", "")]
    return [(*(base if number == 0 else ("", "", "")), *row) for number, row in enumerate(rows)]


def _exit_code(answers: list[Check], *, failed: bool) -> int:
    outcomes = {answer.outcome for answer in answers}
    for outcome in ("duplicate", "review"):
        if outcome in outcomes:
            return EXITS[outcome]
    return FAILED if failed else 0
