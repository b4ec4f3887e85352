"""The Ray cluster of a job: an existing one, or a new one on this machine.

`python -m pipelines.cluster ADDRESS` prints the resources of a cluster as JSON.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from dataclasses import dataclass

import ray
import ray.data
import typer

from dubl.errors import DublError

# Of the cluster's object memory, for clips between the stages; Ray spills to disk when it is full.
IN_FLIGHT_SHARE = 0.25
ONE_ROW_BYTES = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The resources for stages."""

    cpus: int
    gpus: int
    object_store_bytes: int


def connect(address: str) -> Cluster:
    """Connects to the cluster at `address` or RAY_ADDRESS; without either, starts one here."""
    prepare_environment(address)
    with warnings.catch_warnings():
        # Ray's processes are forked and start their own program at once: nothing of LanceDB runs.
        warnings.filterwarnings("ignore", message="lancedb fork support")
        ray.init(
            address=address or None,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    resources = ray.cluster_resources()
    return Cluster(
        cpus=int(resources.get("CPU", 1)),
        gpus=int(resources.get("GPU", 0)),
        object_store_bytes=int(resources.get("object_store_memory", 0)),
    )


def prepare_environment(address: str = "") -> None:
    """Variables that Ray reads when it starts. A cluster that it starts here uses loopback."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")
    if not address and "RAY_ADDRESS" not in os.environ:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


def prepare_data(cluster: Cluster) -> None:
    """Sets up Ray Data for few, large rows: one row for each block, bounded by a share of object
    memory."""
    context = ray.data.DataContext.get_current()
    context.target_max_block_size = ONE_ROW_BYTES
    # Bars on a terminal; in a log the writer's own line says enough.
    context.enable_progress_bars = sys.stderr.isatty()
    options = context.execution_options
    options.resource_limits = options.resource_limits.copy(
        object_store_memory=cluster.object_store_bytes * IN_FLIGHT_SHARE
    )
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def domain_error(error: BaseException) -> BaseException:
    """The domain error of a stage inside Ray's exception; other exceptions stay unchanged."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DublError):
        cause = getattr(cause, "cause", None) or cause.__cause__
    return cause or error


def main(address: str) -> None:
    """Joins the cluster and leaves it."""
    cluster = connect(address)
    facts = {
        "nodes": sum(1 for node in ray.nodes() if node["Alive"]),
        "cpus": cluster.cpus,
        "gpus": cluster.gpus,
        "free_cpus": ray.available_resources().get("CPU", 0),
    }
    ray.shutdown()
    typer.echo(json.dumps(facts))


if __name__ == "__main__":
    typer.run(main)
