"""Prints the resources of a Ray cluster as JSON: `python -m pipelines.cluster_facts ADDRESS`."""

from __future__ import annotations

import json

import ray
import typer

from pipelines.cluster import connect


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
