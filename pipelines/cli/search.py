"""`dubl search`: references by text or by a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubl.contract.bodies import FrameFound
from pipelines.cli.backends import Backend, on_backend
from pipelines.cli.options import AsJson
from pipelines.cli.references import REFERENCES
from pipelines.cli.show import Columns, print_items

FRAMES: Columns[FrameFound] = {
    "reference": lambda one: one.reference_id,
    "library": lambda one: one.library,
    "similarity": lambda one: f"{one.similarity:.2f}",
    "seconds": lambda one: " ".join(f"{time_s:.1f}" for time_s in one.times_s[:TIMES_SHOWN]),
}
MAX_SHOWN = 50
TIMES_SHOWN = 5


@on_backend
def search(
    backend: Backend,
    what: Annotated[
        str, typer.Argument(help="part of an id, a title or a source; or an image or video file")
    ],
    at: Annotated[float, typer.Option(min=0, help="second of a video file")] = 0.0,
    library: Annotated[str, typer.Option(help="default: all libraries")] = "",
    owner: Annotated[str, typer.Option(help="only in a search by text")] = "",
    limit: Annotated[int, typer.Option(min=1, max=MAX_SHOWN)] = 10,
    as_json: AsJson = False,
) -> None:
    """Finds references by text; or, for a file, references that show its picture.

    The similarity of a picture is not a verdict: frames of other videos may be similar too.
    """
    if Path(what).is_file():
        frames = backend.search_frame(what, time_s=at, library=library, limit=limit)
        print_items(frames, FRAMES, as_json=as_json)
        return
    page = backend.list_references(library=library, owner=owner, text=what, limit=limit)
    print_items(page.items, REFERENCES, as_json=as_json)
