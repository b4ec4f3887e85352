"""The `dubl` command.

Exit codes: 0 success (for `check`: unique), 10 duplicate, 11 review, 1 error, 2 wrong usage.
"""

from __future__ import annotations

import typer

from pipelines.cli.lazy import Entry, lazy_group

# Commands by panel: where each lies, and its help in the list.
PANELS = {
    "Videos": {
        "check": (
            "pipelines.cli.check:check",
            "Checks whether videos copy a reference of the library.",
        ),
        "references": (
            "pipelines.cli.references:references_app",
            "The library: add, list, show, edit, delete.",
        ),
        "search": ("pipelines.cli.search:search", "Finds references by text or by a picture."),
        "index": (
            "pipelines.index_archive:main",
            "Registers an archive of any size with Ray Data.",
        ),
        "dedupe": ("pipelines.dedupe_archive:main", "Finds the duplicates inside a library."),
    },
    "People": {
        "reviews": ("pipelines.cli.reviews:reviews_app", "The review queue, and decisions."),
        "calibrate": (
            "pipelines.cli.calibrate:calibrate",
            "Fits a library's thresholds to review decisions.",
        ),
        "report": (
            "pipelines.cli.report:report",
            "Reports duplicates, decisions and errors over time, as a page and as data.",
        ),
    },
    "Models": {
        "weights": ("pipelines.cli.weights:weights_app", "Published weights of the ViSiL family."),
        "evaluate": ("pipelines.evaluate:main", "Measures the quality of a model on a data set."),
    },
    "Operation": {
        "serve": ("pipelines.cli.serve:serve", "Starts the service on this machine."),
        "demo": ("pipelines.demo:main", "Shows registration and checks from end to end."),
        "doctor": ("pipelines.cli.doctor:doctor", "Finds problems of an installation."),
        "jobs": ("pipelines.cli.jobs:jobs_app", "Jobs of a service: list, cancel, queue again."),
        "spaces": (
            "pipelines.cli.spaces:spaces_app",
            "Feature spaces of a service: compare, switch, roll back.",
        ),
        "keys": ("pipelines.cli.keys:keys_app", "API keys: create, list, revoke."),
        "backup": ("pipelines.cli.backup:backup", "Copies library, ledger and unfinished uploads."),
        "restore": ("pipelines.cli.backup:restore", "Restores a back-up into a data folder."),
    },
}
ENTRIES = [
    Entry(name=name, place=place, help=about, panel=panel)
    for panel, commands in PANELS.items()
    for name, (place, about) in commands.items()
]

app = typer.Typer(
    cls=lazy_group(ENTRIES), no_args_is_help=True, help="Find copies of videos.", name="dubl"
)


@app.callback()
def main() -> None:
    """Find copies of videos."""
