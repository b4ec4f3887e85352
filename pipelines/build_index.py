"""Updates a library's indexes, and measures the recall of approximate search.

    python -m pipelines.build_index --data ./data

Compacts the tables, indexes new rows, builds the indexes of columns, and trains the vector index
when there is none or when the library has grown or shrunk by more than `index.retrain_share` since.
Then a sample of stored frames is searched for both ways; the recall goes into the `index_history`
table, into the JSON answer and into the service's metrics. It may run beside the service and beside
indexing jobs; readers keep their versions for `index.keep_versions_s`.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Annotated

import typer

from dubl.assembly import make_store
from dubl.settings import Settings
from pipelines.cli.options import on_settings


@on_settings
def main(
    settings: Settings,
    full: Annotated[bool, typer.Option(help="also compact the files of features")] = False,
    queries: Annotated[int, typer.Option(help="frames of the audit; 0: none", min=0)] = 100,
    min_recall: Annotated[float, typer.Option(help="fail with a lower recall", min=0, max=1)] = 0.0,
) -> None:
    """Prints a JSON summary; ends with 1 when the audit finds less than --min-recall."""
    started = time.monotonic()
    store = make_store(settings)
    store.optimize(full=full, retrain=True)
    if queries:
        store.audit_recall(queries=queries)
    health = store.index_health()
    seconds = round(time.monotonic() - started, 1)
    typer.echo(json.dumps({**asdict(health), "seconds": seconds}))
    if health.recall is not None and health.recall < min_recall:
        typer.echo(f"the recall of the index is {health.recall:.3f}, below --min-recall", err=True)
        raise typer.Exit(code=1)


if __name__ == "__main__":
    typer.run(main)
