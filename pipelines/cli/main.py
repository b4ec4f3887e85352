"""The `dubl` command.

Exit codes: 0 success (for `check`: unique), 10 duplicate, 11 review, 1 error, 2 wrong usage.
"""

from __future__ import annotations

import typer

from pipelines.cli.lazy import Entry, lazy_group

VIDEOS = "Videos"
PEOPLE = "People"
MODELS = "Models"
OPERATION = "Operation"

ENTRIES = (
    Entry(
        name="check",
        place="pipelines.cli.check:check",
        help="Checks whether videos copy a reference of the library.",
        panel=VIDEOS,
    ),
    Entry(
        name="references",
        place="pipelines.cli.references:references_app",
        help="The library: add, list, show, edit, delete.",
        panel=VIDEOS,
    ),
    Entry(
        name="search",
        place="pipelines.cli.search:search",
        help="Finds references by text or by a picture.",
        panel=VIDEOS,
    ),
    Entry(
        name="index",
        place="pipelines.index_archive:main",
        help="Registers an archive of any size with Ray Data.",
        panel=VIDEOS,
    ),
    Entry(
        name="dedupe",
        place="pipelines.dedupe_archive:main",
        help="Finds the duplicates inside a library.",
        panel=VIDEOS,
    ),
    Entry(
        name="reviews",
        place="pipelines.cli.reviews:reviews_app",
        help="The review queue, and decisions.",
        panel=PEOPLE,
    ),
    Entry(
        name="calibrate",
        place="pipelines.cli.calibrate:calibrate",
        help="Fits a library's thresholds to review decisions.",
        panel=PEOPLE,
    ),
    Entry(
        name="report",
        place="pipelines.cli.report:report",
        help="Reports duplicates, decisions and errors over time, as a page and as data.",
        panel=PEOPLE,
    ),
    Entry(
        name="weights",
        place="pipelines.cli.weights:weights_app",
        help="Published weights of the ViSiL family.",
        panel=MODELS,
    ),
    Entry(
        name="evaluate",
        place="pipelines.evaluate:main",
        help="Measures the quality of a model on a data set.",
        panel=MODELS,
    ),
    Entry(
        name="serve",
        place="pipelines.cli.serve:serve",
        help="Starts the service on this machine.",
        panel=OPERATION,
    ),
    Entry(
        name="demo",
        place="pipelines.demo:main",
        help="Shows registration and checks from end to end.",
        panel=OPERATION,
    ),
    Entry(
        name="doctor",
        place="pipelines.cli.doctor:doctor",
        help="Finds problems of an installation.",
        panel=OPERATION,
    ),
    Entry(
        name="jobs",
        place="pipelines.cli.jobs:jobs_app",
        help="Jobs of a service: list, cancel, queue again.",
        panel=OPERATION,
    ),
    Entry(
        name="spaces",
        place="pipelines.cli.spaces:spaces_app",
        help="Feature spaces of a service: compare, switch, roll back.",
        panel=OPERATION,
    ),
    Entry(
        name="keys",
        place="pipelines.cli.keys:keys_app",
        help="API keys: create, list, revoke.",
        panel=OPERATION,
    ),
    Entry(
        name="backup",
        place="pipelines.cli.backup:backup",
        help="Copies library, ledger and unfinished uploads.",
        panel=OPERATION,
    ),
    Entry(
        name="restore",
        place="pipelines.cli.backup:restore",
        help="Restores a back-up into a data folder.",
        panel=OPERATION,
    ),
)

app = typer.Typer(
    cls=lazy_group(ENTRIES), no_args_is_help=True, help="Find copies of videos.", name="dubl"
)


@app.callback()
def main() -> None:
    """Find copies of videos."""
