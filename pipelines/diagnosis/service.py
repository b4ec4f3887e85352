"""Findings about a running service: readiness, key, clock; and about a Ray cluster."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from dubl.client.client import Client
from dubl.client.errors import ApiError, ClientError
from pipelines.diagnosis.finding import Finding, fine, from_error, note, problem

CLOCK_S = 30.0
CLUSTER_WAIT_S = 60.0
NO_CLOCK = "Run an NTP client on both machines. Signatures of webhooks are valid for minutes only."


def look_at_service(client: Client) -> Iterator[Finding]:
    """All findings about a service; only the error if it cannot be reached."""
    try:
        state = client.readiness()
    except ClientError as exc:
        yield from_error("service", exc)
        return
    if not state.ready:
        missing = ", ".join(state.waiting_for)
        yield problem(
            "service", f"it is not ready; it waits for {missing}", "Check its log in DATA/logs."
        )
    else:
        yield fine("service", "it accepts requests")
    yield _access(client)
    yield clock(state.date, time.time())


def clock(date: str, now_s: float) -> Finding:
    """`date`: the HTTP header of the service's answer; may be empty."""
    if not date:
        return note("clock", "the service does not send its time")
    apart_s = abs(parsedate_to_datetime(date).timestamp() - now_s)
    if apart_s > CLOCK_S:
        return problem("clock", f"it differs from the service's by {apart_s:.0f} s", NO_CLOCK)
    return fine("clock", "it agrees with the service's")


def look_at_cluster(address: str) -> Finding:
    """Examines a cluster in a separate process, as joining a missing cluster takes long."""
    command = [sys.executable, "-m", "pipelines.cluster_facts", address]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=CLUSTER_WAIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return problem("cluster", f"{address} does not answer", _CLUSTER)
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["no answer"])[-1]
        return problem("cluster", last, _CLUSTER)
    facts = json.loads(answer.stdout)
    shown = f"{facts['nodes']} nodes, {facts['cpus']:g} CPUs, {facts['gpus']:g} GPUs"
    if not facts["free_cpus"]:
        return note("cluster", f"{shown}, no CPU is free", "New replicas must wait.")
    return fine("cluster", f"{shown}, {facts['free_cpus']:g} CPUs free")


def _access(client: Client) -> Finding:
    try:
        libraries = client.list_libraries()
    except ApiError as exc:
        return from_error("key", exc)
    except ClientError as exc:
        return from_error("service", exc)
    references = sum(one.references for one in libraries)
    return fine("key", f"it can read {len(libraries)} libraries with {references} references")


_CLUSTER = "Check the address (ray://host:10001 or host:6379) and RAY_AUTH_MODE."
