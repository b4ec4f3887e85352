"""Memory, handles and files stay flat under a steady mix of good, bad and broken requests.

`make soak` takes an hour, MINUTES=10 less; the rule is in tests/support/flatness.py, the report in
runs/soak.json.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from pathlib import Path

import pytest

from pipelines.local_server import running_server
from tests.integration.conftest import Clips
from tests.support.soak import Caller, Sampler, data_of, fill_ledger, server_on

pytestmark = pytest.mark.slow

CALLERS = 2
LONG_MINUTES = 5.0
KNOWN_TIMES = 100  # 20 000 checks
# What is kept for an hour or a month would never be seen to go.
OVERRIDES = [
    "index.keep_versions_s=120",
    "index.upkeep_interval_s=20",
    "evidence.max_bytes=20000000",
    "serve.reconcile_interval_s=60",
]


def test_a_service_stays_flat_under_a_steady_mix(
    clips: Clips, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    minutes = float(request.config.getoption("--soak-minutes"))
    with contextlib.ExitStack() as running:
        if minutes >= LONG_MINUTES:
            fill_ledger(tmp_path / "data" / "ledger.duckdb", times=KNOWN_TIMES)
        address = running.enter_context(running_server(tmp_path / "data", overrides=OVERRIDES))
        server = server_on(address)
        sampler = Sampler(server, data_of(server))
        videos = [*clips.references, *clips.queries("recode"), *clips.queries("stranger")]
        callers = [Caller(address, videos, name=f"soak-{number}") for number in range(CALLERS)]
        for caller in callers:
            caller.start()
        _watch(sampler, minutes * 60)
        for caller in callers:
            caller.stop()

    trends = sampler.trends()
    wrong = [line for caller in callers for line in caller.wrong]
    answers: Counter[str] = sum((caller.answers for caller in callers), Counter())
    report = {
        "minutes": minutes,
        "samples": len(sampler.samples.times_s),
        "answers": dict(sorted(answers.items())),
        "wrong": wrong[:50],
        "rising": [name for name, trend in trends.items() if not trend.flat],
        "trends": {name: trend.shown() for name, trend in trends.items()},
        "series": {
            "times_s": [round(at) for at in sampler.samples.times_s],
            **{name: [round(v, 1) for v in series] for name, series in _all(sampler)},
        },
    }
    path = request.config.rootpath / "runs" / "soak.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report, indent=1))
    shown = {name: value for name, value in report.items() if name not in ("trends", "series")}
    print(json.dumps(shown))  # noqa: T201

    assert wrong == []
    assert report["rising"] == [], {name: trends[name].shown() for name in report["rising"]}


def _watch(sampler: Sampler, seconds: float) -> None:
    """A hundred samples or more, at most one a second."""
    ends_at = time.monotonic() + seconds
    interval_s = min(10.0, max(1.0, seconds / 360))
    while time.monotonic() < ends_at:
        sampler.look()
        time.sleep(interval_s)


def _all(sampler: Sampler) -> list[tuple[str, list[float]]]:
    return sorted(sampler.samples.series.items())
