"""`dubl jobs`: jobs of a running service."""

from __future__ import annotations

from typing import Annotated

import typer

from dubl.contract.bodies import Job
from pipelines.cli.options import AsJson, Key, Url, connected, printed_errors
from pipelines.cli.show import print_json, print_table

jobs_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Jobs of a service: list, cancel, queue again.",
)
HEADINGS = ("job", "kind", "name", "status", "stage", "share", "accepted", "error")
LOCAL = "http://127.0.0.1:8000"
JobId = Annotated[str, typer.Argument(metavar="JOB")]


@jobs_app.command("list")
def list_jobs(
    status: Annotated[str, typer.Option(help="queued, running, done, failed or cancelled")] = "",
    batch: Annotated[str, typer.Option(help="only the jobs of this batch")] = "",
    dead: Annotated[
        bool, typer.Option("--dead", help="only jobs that were given up after their last attempt")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    url: Url = LOCAL,
    as_json: AsJson = False,
    key: Key = "",
) -> None:
    """Lists jobs, newest first."""
    with printed_errors(), connected(url, key) as client:
        items = client.list_jobs(
            status=status, batch=batch, dead=True if dead else None, limit=limit
        ).items
    if as_json:
        for item in items:
            print_json(item)
    else:
        print_table(HEADINGS, [_row(item) for item in items])


@jobs_app.command("cancel")
def cancel(job_id: JobId, url: Url = LOCAL, key: Key = "") -> None:
    """Cancels a job; a batch with all its jobs."""
    with printed_errors(), connected(url, key) as client:
        typer.echo(f"{client.cancel_job(job_id).status} {job_id}")


@jobs_app.command("requeue")
def requeue(job_id: JobId, url: Url = LOCAL, key: Key = "") -> None:
    """Queues a dead job again."""
    with printed_errors(), connected(url, key) as client:
        typer.echo(f"{client.requeue_job(job_id).status} {job_id}")


def _row(job: Job) -> tuple[str, ...]:
    return (
        job.id,
        job.kind,
        job.name,
        job.status,
        job.stage,
        f"{job.progress:.0%}",
        job.created_at[:19].replace("T", " "),
        job.error.detail if job.error else "",
    )
