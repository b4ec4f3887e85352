"""`dubl search`: references by text or by a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubl.contract.bodies import FrameFound
from pipelines.cli.backends import opened_backend
from pipelines.cli.options import DATA, AsJson, Config, Data, Key, Url, printed_errors
from pipelines.cli.references import print_references
from pipelines.cli.show import print_json, print_table

HEADINGS = ("reference", "library", "similarity", "seconds")
MAX_SHOWN = 50
TIMES_SHOWN = 5


def search(
    what: Annotated[
        str, typer.Argument(help="part of an id, a title or a source; or an image or video file")
    ],
    at: Annotated[float, typer.Option(min=0, help="second of a video file")] = 0.0,
    library: Annotated[str, typer.Option(help="default: all libraries")] = "",
    owner: Annotated[str, typer.Option(help="only in a search by text")] = "",
    limit: Annotated[int, typer.Option(min=1, max=MAX_SHOWN)] = 10,
    url: Url = "",
    data: Data = DATA,
    config: Config = None,
    as_json: AsJson = False,
    key: Key = "",
) -> None:
    """Finds references by text; or, for a file, references that show its picture.

    The similarity of a picture is not a verdict: frames of other videos may be similar too.
    """
    with printed_errors(), opened_backend(url, key, data, config) as backend:
        if Path(what).is_file():
            found = backend.search_frame(what, time_s=at, library=library, limit=limit)
            _print_frames(found, as_json=as_json)
            return
        page = backend.list_references(library=library, owner=owner, text=what, limit=limit)
        print_references(page.items, as_json=as_json)


def _print_frames(found: tuple[FrameFound, ...], *, as_json: bool) -> None:
    if as_json:
        for one in found:
            print_json(one)
        return
    rows = [
        (
            one.reference_id,
            one.library,
            f"{one.similarity:.2f}",
            " ".join(f"{time_s:.1f}" for time_s in one.times_s[:TIMES_SHOWN]),
        )
        for one in found
    ]
    print_table(HEADINGS, rows)
