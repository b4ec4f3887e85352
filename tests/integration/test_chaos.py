"""What was acknowledged is there, exactly once, whatever was killed meanwhile.

`make chaos ROUNDS=50` kills more often, once with each broker; the account is runs/chaos-*.json.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from dubl.footage.scenes import generate_library
from tests.support.chaos import BROKER, EVERYTHING, Submitter, Victim
from tests.support.rabbitmq import is_installed
from tests.support.service import Client

pytestmark = pytest.mark.slow


def rounds_of(count: int, targets: Sequence[str], chance: random.Random) -> list[str]:
    """Every target in turn, in an order of chance; the last round takes everything down."""
    found: list[str] = []
    while len(found) < count:
        found += chance.sample(targets, len(targets))
    return [*found[: count - 1], EVERYTHING]


def test_nothing_acknowledged_is_lost_and_everything_is_done_once(
    tmp_path: Path, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = int(pytestconfig.getoption("--chaos-rounds"))
    broker = str(pytestconfig.getoption("--chaos-broker"))
    if broker == "rabbitmq":
        if not is_installed():
            pytest.skip("rabbitmq-server is absent (apt-get install rabbitmq-server)")
        for name in ("BROKER_URL", "BROKER_MANAGEMENT_URL"):
            monkeypatch.setenv(f"DUBL__SERVE__{name}", "set by the victim, taken back here")
    chance = random.Random(rounds)
    (clip,) = generate_library(
        tmp_path / "clips", count=1, seed=5, size=(160, 90), shortest_s=3, longest_s=3
    )
    submitter = Submitter(checked=clip, registered=clip)
    killed: Counter[str] = Counter()
    started = time.monotonic()
    with Victim(tmp_path, broker=broker) as victim:
        submitter.address = victim.address
        submitter.start()
        for number, target in enumerate(rounds_of(rounds, victim.targets, chance), start=1):
            submitter.wait_for(chance.randint(1, 3))
            killed[target] += victim.kill(target, chance)
            if target == BROKER:
                submitter.wait_for(2)  # without it, jobs are accepted all the same
            victim.recover(target)
            elapsed_s = time.monotonic() - started
            sys.stderr.write(f"{elapsed_s:6.0f} s  round {number}: {target}\n")
        submitter.stop()
        account = submitter.account
        with Client(victim.address) as client:
            jobs = [_ended(client, job_id) for job_id in account.jobs]
            checks = _all_ids(client, "checks")
            references = _all_ids(client, "references")
    states = Counter(str(job["status"]) for job in jobs)
    done = {job["subject_id"] for job in jobs if job["status"] == "done"}
    acknowledged = {*account.checks} | {*account.references}
    summary = {
        "broker": broker,
        "rounds": sum(killed.values()),
        "killed": dict(killed),
        "answers": dict(account.answers),
        "acknowledged": len(jobs),
        "ended": dict(states),
        "reasons": [job["error"]["code"] for job in jobs if job["error"]],
        "attempts": dict(Counter(str(job["attempts"]) for job in jobs)),
        "lost": sorted((done & acknowledged) - {*checks, *references}),
        "twice": sorted(_twice(checks) | _twice(references)),
        "minutes": round((time.monotonic() - started) / 60, 1),
    }
    path = pytestconfig.rootpath / "runs" / f"chaos-{broker}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(summary, indent=1))
    print(json.dumps(summary))  # noqa: T201

    assert set(states) <= {"done", "failed"}, summary
    assert summary["lost"] == [], summary
    assert summary["twice"] == [], summary
    assert all(job["error"]["code"] for job in jobs if job["status"] == "failed"), summary


def _twice(ids: Sequence[str]) -> set[str]:
    return {name for name, count in Counter(ids).items() if count > 1}


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
