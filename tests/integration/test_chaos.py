"""What was acknowledged is there, exactly once, whatever was killed meanwhile.

`make chaos ROUNDS=50` kills more often; the account is written beside the data.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections import Counter
from pathlib import Path

import pytest

from dubl.evaluation.scenes import generate_library
from pipelines.local_server import free_port, running_server
from tests.support.chaos import (
    EVERYTHING,
    TARGETS,
    Submitter,
    kill,
    server_process,
    wait_ready,
)
from tests.support.service import Client

OVERRIDES = ["serve.lease_s=6", "serve.job_tries=12", "serve.max_concurrent_jobs=3"]


def rounds_of(count: int, chance: random.Random) -> list[str]:
    """Every target in turn, in an order of chance; the last round takes everything down."""
    found: list[str] = []
    while len(found) < count:
        found += chance.sample(TARGETS, len(TARGETS))
    return [*found[: count - 1], EVERYTHING]


@pytest.mark.timeout(10_000)
def test_nothing_acknowledged_is_lost_and_everything_is_done_once(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    rounds = int(pytestconfig.getoption("--chaos-rounds"))
    chance = random.Random(rounds)
    (clip,) = generate_library(
        tmp_path / "clips", count=1, seed=5, size=(160, 90), shortest_s=3, longest_s=3
    )
    submitter = Submitter(clip)
    data, port = tmp_path / "data", free_port()
    killed: Counter[str] = Counter()
    with contextlib.ExitStack() as running:
        submitter.address = running.enter_context(
            running_server(data, overrides=OVERRIDES, port=port)
        )
        submitter.start()
        for target in rounds_of(rounds, chance):
            submitter.wait_for(chance.randint(1, 3))
            killed[target] += kill(server_process(data), target, chance)
            if target == EVERYTHING:
                running.close()
                running.enter_context(running_server(data, overrides=OVERRIDES, port=port))
            wait_ready(submitter.address)
        submitter.stop()
        account = submitter.account
        with Client(submitter.address) as client:
            jobs = [_ended(client, job_id) for job_id in account.jobs]
            checks = _all_ids(client, "checks")
            references = _all_ids(client, "references")
    states = Counter(str(job["status"]) for job in jobs)
    summary = {
        "rounds": sum(killed.values()),
        "killed": dict(killed),
        "answers": dict(account.answers),
        "acknowledged": len(jobs),
        "ended": dict(states),
        "reasons": [job["error"]["code"] for job in jobs if job["error"]],
        "attempts": dict(Counter(str(job["attempts"]) for job in jobs)),
        "lost": sorted(({*account.checks} - {*checks}) | ({*account.references} - {*references})),
    }
    (tmp_path / "chaos.json").write_text(json.dumps(summary, indent=1))
    print(json.dumps(summary))  # noqa: T201

    assert set(states) <= {"done", "failed"}, summary
    done = {job["subject_id"] for job in jobs if job["status"] == "done"}
    assert done & {*account.checks} <= {*checks}, summary
    assert done & {*account.references} <= {*references}, summary
    assert len(checks) == len({*checks}), summary
    assert len(references) == len({*references}), summary
    assert all(job["error"]["code"] for job in jobs if job["status"] == "failed"), summary


def _ended(client: Client, job_id: str) -> dict[str, dict[str, object]]:
    with client.http.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
        *_, last = (line for line in answer.iter_lines() if line.startswith("data: "))
    return dict(json.loads(last.removeprefix("data: ")))


def _all_ids(client: Client, kind: str) -> list[str]:
    found: list[str] = []
    cursor = ""
    while True:
        page = client.http.get(f"/v1/{kind}", params={"limit": 500, "cursor": cursor}).json()
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"] or ""
        if not cursor:
            return found
