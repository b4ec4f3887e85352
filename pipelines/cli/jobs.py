"""`dubl jobs`: jobs of a running service."""

from __future__ import annotations

from typing import Annotated

import typer

from dubl.client.client import Client
from dubl.contract.bodies import Job
from pipelines.cli.options import AsJson, on_service
from pipelines.cli.show import Columns, moment, print_items

jobs_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Jobs of a service: list, cancel, queue again.",
)
JobId = Annotated[str, typer.Argument(metavar="JOB")]
JOBS: Columns[Job] = {
    "job": lambda job: job.id,
    "kind": lambda job: job.kind,
    "name": lambda job: job.name,
    "status": lambda job: job.status,
    "stage": lambda job: job.stage,
    "share": lambda job: f"{job.progress:.0%}",
    "accepted": lambda job: moment(job.created_at),
    "error": lambda job: job.error.detail if job.error else "",
}


@jobs_app.command("list")
@on_service
def list_jobs(
    client: Client,
    status: Annotated[str, typer.Option(help="queued, running, done, failed or cancelled")] = "",
    batch: Annotated[str, typer.Option(help="only the jobs of this batch")] = "",
    dead: Annotated[
        bool, typer.Option("--dead", help="only jobs that were given up after their last attempt")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    as_json: AsJson = False,
) -> None:
    """Lists jobs, newest first."""
    found = client.list_jobs(status=status, batch=batch, dead=True if dead else None, limit=limit)
    print_items(found.items, JOBS, as_json=as_json)


@jobs_app.command("cancel")
@on_service
def cancel(client: Client, job_id: JobId) -> None:
    """Cancels a job; a batch with all its jobs."""
    typer.echo(f"{client.cancel_job(job_id).status} {job_id}")


@jobs_app.command("requeue")
@on_service
def requeue(client: Client, job_id: JobId) -> None:
    """Queues a dead job again."""
    typer.echo(f"{client.requeue_job(job_id).status} {job_id}")
