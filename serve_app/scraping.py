"""`/metrics`: the metrics of Ray's agents on all nodes, as one page.

On a large cluster Prometheus scrapes the agents itself, by Ray's service discovery. See
deploy/monitoring/prometheus.yml, which removes the prefix of names in the same way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator

import httpx
import ray

logger = logging.getLogger(__name__)

# Dubl's own; what Serve says of requests, replicas and batches; machines and GPUs.
OWN = "ray_dubl_"
SHOWN = (OWN, "ray_serve_", "ray_node_")
PREFIX = "ray_"
COMMENTS = ("# HELP ", "# TYPE ")
TIMEOUT_S = 5.0  # seconds for one node; chosen


async def gather_metrics() -> str:
    """All metrics in Prometheus' text format; nodes that do not answer are skipped."""
    if not ray.is_initialized():
        return ""
    addresses = await asyncio.to_thread(_agents)
    async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
        pages = await asyncio.gather(*(_page(client, address) for address in addresses))
    return merged(pages)


def merged(pages: Iterable[str]) -> str:
    """The series of all pages, each family in one piece, as the format requires."""
    families: dict[str, dict[str, None]] = {}
    for page in pages:
        for family, line in _shown(page):
            families.setdefault(family, {})[line] = None
    lines = [line for family in families.values() for line in family]
    return "".join(f"{line}\n" for line in lines)


def _shown(page: str) -> Iterator[tuple[str, str]]:
    """The shown lines with their family, which is the last one described."""
    family = ""
    for line in page.splitlines():
        if line.startswith(COMMENTS):
            family = line.split(" ", 3)[2]
        if family.startswith(OWN):
            yield family, line.replace(OWN, OWN.removeprefix(PREFIX), 1)
        elif family.startswith(SHOWN):
            yield family, line


def _agents() -> list[str]:
    nodes = [node for node in ray.nodes() if node["Alive"]]
    return [f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}" for node in nodes]


async def _page(client: httpx.AsyncClient, address: str) -> str:
    try:
        response = await client.get(f"{address}/metrics")
        response.raise_for_status()
    except httpx.HTTPError as exc:
        logger.warning("no metrics from %s: %s", address, exc)
        return ""
    return response.text
