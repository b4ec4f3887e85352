"""Twenty times as many checks as can be done: how soon refusals come, and what those who were taken
in pay for the rest."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks.material import bench_clip, filled_library
from benchmarks.results import Figure, at_most, plain, run
from benchmarks.usage import ProcessTree, own_cpu_s, server_tree
from dubl.evaluation.report.writing import machine
from pipelines.local_server import running_server
from serve_app.api.admission import default_waiting

REFERENCES = 200
UNLOADED = 20
FULL_ROUNDS = 6
AFTER = 5
TIMES_CAPACITY = 20
FLOOD_S = 40.0
TAKEN, REFUSED = 200, 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Seconds from the first byte sent to the last byte of the answer."""

    status: int
    seconds: float


class Caller:
    """Uploads one clip, a connection a request, with as little work as can be: the machine that
    floods is the one that is flooded."""

    def __init__(self, address: str, content: bytes) -> None:
        self._host, _, port = address.removeprefix("http://").partition(":")
        self._port = int(port)
        self._content = content

    async def ask(self) -> Answered:
        """A file of its own each time: bytes behind the end change no picture."""
        boundary = uuid.uuid4().hex
        opening = (
            f"--{boundary}\r\nContent-Disposition: form-data; "
            f'name="file"; filename="clip.mp4"\r\n\r\n'
        ).encode()
        closing = f"{boundary}\r\n--{boundary}--\r\n".encode()
        size = len(opening) + len(self._content) + len(closing)
        head = (
            f"POST /v1/checks HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Prefer: wait=280\r\nContent-Length: {size}\r\n"
            f"Content-Type: multipart/form-data; boundary={boundary}\r\n\r\n"
        ).encode()
        started = time.perf_counter()
        reader, writer = await asyncio.open_connection(self._host, self._port)
        writer.writelines([head, opening, self._content, closing])
        try:
            status = int((await reader.readline()).split()[1])
            await _body_of(reader)
        finally:
            writer.close()
        return Answered(status=status, seconds=time.perf_counter() - started)


async def _body_of(reader: asyncio.StreamReader) -> bytes:
    length = 0
    while (line := await reader.readline()).strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return await reader.readexactly(length)


def measure() -> list[Figure]:
    clip = bench_clip()
    settings = filled_library("overload", clip, references=REFERENCES)
    with running_server(settings.data_dir) as address:
        return asyncio.run(_story(Caller(address, clip.read_bytes()), server_tree()))


async def _story(caller: Caller, tree: ProcessTree) -> list[Figure]:
    await caller.ask()
    unloaded = [await caller.ask() for _ in range(UNLOADED)]
    full, capacity_hz = await _full(caller)
    before_s = tree.cpu_s()
    own_s = own_cpu_s()
    flooded = await _flood(caller, rate_hz=TIMES_CAPACITY * capacity_hz)
    sys.stderr.write(
        f"flood: {tree.cpu_s() - before_s:.1f} CPU s of the service, {own_cpu_s() - own_s:.1f} of "
        "whoever floods\n"
    )
    after = [await caller.ask() for _ in range(AFTER)]
    return _figures(unloaded, full, flooded, after, capacity_hz=capacity_hz)


async def _full(caller: Caller) -> tuple[list[Answered], float]:
    """As many callers as are taken in, one check after the other; and checks a second."""

    async def one_after_another() -> list[Answered]:
        return [await caller.ask() for _ in range(FULL_ROUNDS)]

    started = time.perf_counter()
    rows = await asyncio.gather(*(one_after_another() for _ in range(default_waiting())))
    answers = [answer for row in rows for answer in row]
    return answers, len(answers) / (time.perf_counter() - started)


async def _flood(caller: Caller, *, rate_hz: float) -> list[Answered]:
    """Requests at even intervals, whether or not the earlier ones are answered."""
    asked: list[asyncio.Task[Answered]] = []
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(round(rate_hz * FLOOD_S)):
            await asyncio.sleep(max(0.0, started + number / rate_hz - time.perf_counter()))
            asked.append(group.create_task(caller.ask()))
    return [task.result() for task in asked]


def _figures(
    unloaded: Sequence[Answered],
    full: Sequence[Answered],
    flooded: Sequence[Answered],
    after: Sequence[Answered],
    *,
    capacity_hz: float,
) -> list[Figure]:
    statuses = Counter(answer.status for answer in flooded)
    taken, refused = (
        [answer.seconds for answer in flooded if answer.status == status]
        for status in (TAKEN, REFUSED)
    )
    alone = [answer.seconds for answer in unloaded]
    setup = (
        f"uploads of a 30 s 720p clip at {TIMES_CAPACITY} times {capacity_hz:.2f} a second for "
        f"{FLOOD_S:g} s, {machine()}"
    )
    shown = f"{setup}; {len(taken)} taken, {len(refused)} refused"
    loaded = [answer.seconds for answer in full]
    return [
        plain(
            "overload: answers that are neither a verdict nor a refusal",
            len(flooded) - len(taken) - len(refused),
            unit="",
            setup=f"{setup}; {dict(statuses)}",
        ),
        at_most(
            "overload: p95 of what was taken over p95 unloaded",
            _p95(taken) / _p95(alone),
            2,
            unit="×",
            setup=f"{shown}; {_p95(taken):.2f} over {_p95(alone):.2f} s, at capacity "
            f"{_p95(loaded):.2f} s",
        ),
        at_most(
            "overload: refusals, p95",
            _p95(refused) * 1e3,
            100,
            unit="ms",
            setup=f"{shown}; p50 {median(refused) * 1e3:.0f} ms",
        ),
        at_most(
            "overload: a check afterwards over one before, p50",
            median(answer.seconds for answer in after) / median(alone),
            1.25,
            unit="×",
            setup=setup,
        ),
    ]


def _p95(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=20)[-1]


if __name__ == "__main__":
    run("overload", measure)
