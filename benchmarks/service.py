"""The whole service: start-up, idle cost, cost and latency of a check, checks under load."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import httpx
import numpy as np

from benchmarks.material import InProcessFlow, bench_clip, filled_library, pictures
from benchmarks.results import Figure, at_least, at_most, plain, run
from benchmarks.usage import ProcessTree, server_tree
from dubl.assembly import feature_spec
from dubl.evaluation.report.writing import machine
from dubl.media.sources import local_source
from dubl.settings import Settings
from pipelines.local_server import running_server

REFERENCES = 1000
REPEATS = 8
IDLE_S = 20.0
# Clients at once, and checks of all of them together.
LOADS = ((1, 8), (8, 32), (32, 64))
WAIT = {"Prefer": "wait=280"}


def measure() -> Iterator[Figure]:
    clip = bench_clip()
    settings = filled_library("service", clip, references=REFERENCES)
    started = time.perf_counter()
    # All clients of the largest load wait for their answers.
    overrides = [f"serve.max_waiting={LOADS[-1][0]}"]
    with running_server(settings.data_dir, overrides=overrides) as address:
        ready_s = time.perf_counter() - started
        tree = server_tree()
        yield from _at_rest(tree, ready_s)
        yield from _costs(address, clip, tree, settings)
        alone = 0.0
        for clients, checks in LOADS:
            rate, setup = _under_load(address, clip, clients=clients, checks=checks)
            yield plain(f"checks a second, {clients} clients", rate, unit="1/s", setup=setup)
            if clients == 1:
                alone = rate
                continue
            name, setup = f"the same over one client, {clients}", f"{rate:.2f} over {alone:.2f}"
            yield at_least(name, rate / alone, 1.2, unit="×", setup=setup)


def _at_rest(tree: ProcessTree, ready_s: float) -> list[Figure]:
    setup = f"`python -m serve_app.main`, {machine()}"
    cpu_s, size = tree.cpu_s(), tree.pss_bytes()
    time.sleep(IDLE_S)
    idle = (tree.cpu_s() - cpu_s) / IDLE_S
    for name, spent_s, megabytes in tree.sizes():
        sys.stderr.write(f"{megabytes:7.0f} MB {spent_s:6.1f} CPU-s  {name}\n")
    return [
        at_most("start-up, wall", ready_s, 10, unit="s", setup=setup),
        plain("start-up, CPU", cpu_s, unit="CPU s", setup=setup),
        at_most("memory when ready (PSS)", size / 1e9, 1.0, unit="GB", setup=setup),
        at_most("CPU when idle, share of a core", idle, 0.03, unit="cores", setup=setup),
    ]


def _costs(address: str, clip: Path, tree: ProcessTree, settings: Settings) -> list[Figure]:
    """Three ways in turn, so that whatever else the machine does slows them alike. Of CPU time the
    least counts: others on the machine only ever add to it."""
    setup = f"30 s 720p H.264 clip, {REFERENCES} references, one client, {machine()}"
    side = feature_spec(settings).frame_size
    everything = ProcessTree(os.getpid())

    def own_cpu_s() -> float:
        """CPU seconds of this process and its decoders; the service is a child too."""
        return everything.cpu_s() - tree.cpu_s()

    flow, source = InProcessFlow(settings), local_source(clip)
    bare_cpu_s, service_cpu_s, inside_cpu_s, pixels_cpu_s, inside_s, http_s = [], [], [], [], [], []
    match = flow.check(source).matches[0]
    for _ in range(1 + REPEATS):
        before = own_cpu_s()
        deque(pictures(clip, rate_hz=1.0, side=side), maxlen=0)
        bare_cpu_s.append(own_cpu_s() - before)
        before, started = own_cpu_s(), time.perf_counter()
        flow.check(source)
        inside_s.append(time.perf_counter() - started)
        inside_cpu_s.append(own_cpu_s() - before)
        before = own_cpu_s()
        flow.look_at_pixels(source, match.segments[0])
        pixels_cpu_s.append(own_cpu_s() - before)
        before = tree.cpu_s()
        http_s.append(_check(address, clip))
        service_cpu_s.append(tree.cpu_s() - before)
    bare, service = min(bare_cpu_s[1:]), min(service_cpu_s[1:])
    checked, pixels = min(inside_cpu_s[1:]), min(pixels_cpu_s[1:])
    inside, http = median(inside_s[1:]), median(http_s[1:])
    return [
        at_most(
            "check, CPU of the service over a bare PyAV loop",
            service / bare,
            1.0,
            unit="×",
            setup=f"{setup}; {service:.2f} over {bare:.2f} CPU s",
        ),
        at_most(
            "check over HTTP, p50 over the same flow in process",
            http / inside,
            1.1,
            unit="×",
            setup=f"{setup}; {http:.2f} over {inside:.2f} s",
        ),
        plain(
            "a look at the pixels of one match, CPU over a check without",
            pixels / checked,
            unit="×",
            setup=f"{setup}, in process; {pixels:.2f} over {checked:.2f} CPU s",
        ),
    ]


def _under_load(address: str, clip: Path, *, clients: int, checks: int) -> tuple[float, str]:
    """Checks a second, and how they went."""
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        times_s = list(pool.map(lambda _: _check(address, clip), range(checks)))
    rate = checks / (time.perf_counter() - started)
    setup = f"{clients} clients, {checks} checks of the clip, {machine()}; {_percentiles(times_s)}"
    return rate, setup


def _percentiles(times_s: Sequence[float]) -> str:
    values = np.percentile(times_s, [50, 95, 99])
    return ", ".join(f"p{p} {v:.2f} s" for p, v in zip((50, 95, 99), values, strict=True))


def _check(address: str, clip: Path) -> float:
    """Wall seconds of one check; its answer must be right."""
    started = time.perf_counter()
    with clip.open("rb") as file:
        answer = httpx.post(
            f"{address}/v1/checks", files={"file": ("clip.mp4", file)}, headers=WAIT, timeout=300
        )
    elapsed_s = time.perf_counter() - started
    found = answer.raise_for_status().json()
    if found.get("outcome") != "duplicate" or found["matches"][0]["reference_id"] != "clip":
        raise RuntimeError(f"a wrong answer: {found}")
    return elapsed_s


if __name__ == "__main__":
    run("service", measure)
