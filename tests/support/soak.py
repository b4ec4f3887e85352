"""A steady mix of everything for as long as asked, and what the service's processes and files take
meanwhile."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import duckdb
import httpx
import psutil

from dubl.ledger.clock import utc_now
from dubl.ledger.ledger import Ledger
from dubl.types import Check, Job, JobKind, JobState, Match, Outcome, Segment, Verdict
from tests.support.flatness import Allowance, Trend, trend_of
from tests.support.service import WAIT

KEPT_REFERENCES = 6  # of those that one caller has registered
PAUSE_S = 0.2
MIB = 2**20
# Rises allowed over the second half of an hour, and over that of the short run, in which buffers
# still fill.
LONG = {
    "memory_mib": Allowance(share=0.03, floor=4.0),
    "handles": Allowance(share=0.05, floor=3.0),
    "files": Allowance(share=0.10, floor=12.0),
}
SHORT = {
    "memory_mib": Allowance(share=0.15, floor=24.0),
    "handles": Allowance(share=0.20, floor=12.0),
    "files": Allowance(share=1.0, floor=150.0),
}
LONG_S = 1800.0


# Of what the ledger wrote itself: the same under other names.
WRITTEN_CHECKS = 200
REPEATED = {
    "jobs": "jobs.id || '-' || number AS id, jobs.subject_id || '-' || number AS subject_id",
    "checks": "checks.id || '-' || number AS id",
    "matches": "matches.check_id || '-' || number AS check_id",
}


def fill_ledger(path: Path, *, times: int) -> None:
    """Jobs and verdicts of a service that has run for a while, `times` WRITTEN_CHECKS of them: a
    new ledger grows in memory for as long as its file is small enough to be there as a whole."""
    segment = Segment(
        query_start_s=0.0,
        query_end_s=9.0,
        reference_start_s=1.0,
        reference_end_s=10.0,
        similarity=0.7,
    )
    matches = tuple(
        Match(
            reference_id=f"reference-{number}",
            library="main",
            similarity=0.7,
            probability=0.9 / (number + 1),
            segments=(segment,),
        )
        for number in range(8)
    )
    verdict = Verdict(
        outcome=Outcome.DUPLICATE,
        probability=0.9,
        matches=matches,
        model_id="dubl-compact",
        policy_version="1",
        index_version=1,
        timings_ms={"decode": 200.0, "embed": 90.0, "total": 300.0},
    )
    with closing(Ledger(path)) as ledger:
        for number in range(WRITTEN_CHECKS):
            job = Job(
                id=str(uuid.uuid4()),
                kind=JobKind.CHECK,
                state=JobState.QUEUED,
                subject_id=str(uuid.uuid4()),
                request={"libraries": ["main"], "name": f"upload-{number}.mp4"},
                created_at=utc_now(),
            )
            check = Check(
                id=job.subject_id,
                query_name=f"upload-{number}.mp4",
                query_sha256=hashlib.sha256(job.id.encode()).hexdigest(),
                libraries=("main",),
                created_at=utc_now(),
                verdict=verdict,
            )
            started = ledger.jobs.create(job, tries=1, lease_s=60)
            ledger.record_check(check, lease=started.lease)
    with closing(duckdb.connect(str(path))) as connection:
        for table, changes in REPEATED.items():
            connection.execute(
                f"INSERT INTO {table} "
                f"SELECT {table}.* REPLACE ({changes}) FROM {table}, range(1, {times}) r(number)"
            )


class Caller:
    """Asks for one thing after another until it is stopped. What is not answered as it should be
    is in `wrong`."""

    def __init__(self, address: str, clips: Sequence[Path], *, name: str) -> None:
        self._http = httpx.Client(base_url=address, timeout=300)
        self._address = address
        self._contents = [path.read_bytes() for path in clips]
        self._name = name
        self._numbers = count()
        self._registered: list[str] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._http.close()

    def _run(self) -> None:
        mix: tuple[Callable[[], None], ...] = (
            self._check,
            self._register,
            self._check,
            self._hang_up_half_way,
            self._check,
            self._bad_file,
            self._look_around,
            self._hang_up_while_waiting,
        )
        for number in count():
            if self._stopped.wait(PAUSE_S):
                return
            action = mix[number % len(mix)]
            try:
                action()
            except httpx.HTTPError as exc:
                self.wrong.append(f"{action.__name__}: {type(exc).__name__} {exc}")

    def _content(self) -> bytes:
        """Bytes that were never sent before, of a clip that was: they change no picture."""
        return self._contents[next(self._numbers) % len(self._contents)] + uuid.uuid4().bytes

    def _post(self, kind: str, content: bytes, wanted: int, **fields: str) -> dict[str, object]:
        files = {"file": ("a.mp4", content)}
        answer = self._http.post(f"/v1/{kind}", files=files, data=fields, headers=WAIT)
        self._note(kind, answer, wanted)
        return dict(answer.json())

    def _note(self, what: str, answer: httpx.Response, *wanted: int) -> None:
        self.answers[f"{what} {answer.status_code}"] += 1
        if answer.status_code not in wanted:
            self.wrong.append(f"{what}: {answer.status_code} {answer.text[:200]}")

    def _check(self) -> None:
        self._post("checks", self._content(), httpx.codes.OK)

    def _register(self) -> None:
        reference = f"{self._name}-{next(self._numbers)}"
        self._post("references", self._content(), httpx.codes.CREATED, id=reference)
        self._registered.append(reference)
        if len(self._registered) > KEPT_REFERENCES:
            gone = self._registered.pop(0)
            self._note("delete", self._http.delete(f"/v1/references/{gone}"), 204)

    def _bad_file(self) -> None:
        cut = self._content()[: 3000 + next(self._numbers) % 3000]
        answer = self._http.post("/v1/checks", files={"file": ("a.mp4", cut)}, headers=WAIT)
        self._note("bad file", answer, 415, 422)

    def _look_around(self) -> None:
        for path in ("/v1/checks", "/v1/references", "/v1/jobs", "/metrics", "/readyz"):
            self._note("look", self._http.get(path), httpx.codes.OK)

    def _hang_up_half_way(self) -> None:
        self._send(self._content(), share=0.5)
        self.answers["hung up half way"] += 1

    def _hang_up_while_waiting(self) -> None:
        self._send(self._content(), share=1.0)
        self.answers["hung up while waiting"] += 1

    def _send(self, content: bytes, *, share: float) -> None:
        host, _, port = self._address.removeprefix("http://").partition(":")
        opening = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
        body = opening + content + b"\r\n--x--\r\n"
        head = (
            f"POST /v1/checks HTTP/1.1\r\nHost: {host}\r\nPrefer: wait=100\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall(head.encode() + body[: int(len(body) * share)])
            self._stopped.wait(PAUSE_S)


@dataclass(slots=True)
class Samples:
    """Series by name, all at the same times."""

    times_s: list[float] = field(default_factory=list)
    series: dict[str, list[float]] = field(default_factory=dict)

    def add(self, at_s: float, values: dict[str, float]) -> None:
        """A series that begins late, or is missing once, is zero there."""
        for name in values.keys() - self.series.keys():
            self.series[name] = [0.0] * len(self.times_s)
        self.times_s.append(at_s)
        for name, series in self.series.items():
            series.append(values.get(name, 0.0))


class Sampler:
    """Looks at a service: memory that no other process shares and open handles of its processes,
    summed by what they are, and the files of its stores."""

    def __init__(self, server: psutil.Process, data: Path) -> None:
        self._server = server
        self._data = data
        self._started = time.monotonic()
        self.samples = Samples()

    def look(self) -> None:
        found: defaultdict[str, float] = defaultdict(float)
        for process in [self._server, *self._server.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                memory, name = process.memory_info(), _role(process)
                found[f"memory_mib {name}"] += (memory.rss - memory.shared) / MIB
                found[f"handles {name}"] += process.num_fds()
        found["memory_mib all"] = sum(v for k, v in found.items() if k.startswith("memory_mib"))
        library = self._data / "library"
        for table in library.glob("*.lance"):
            found[f"files versions of {table.name}"] = _count(table / "_versions")
        found["files library"] = _count(library)
        found["files spool"] = _count(self._data / "spool")
        self.samples.add(time.monotonic() - self._started, dict(found))

    def trends(self) -> dict[str, Trend]:
        times_s = self.samples.times_s
        allowed = LONG if times_s[-1] >= LONG_S else SHORT
        return {
            name: trend_of(times_s, values, allowed[name.split()[0]])
            for name, values in sorted(self.samples.series.items())
        }


def server_on(address: str) -> psutil.Process:
    """The service that was started for this port."""
    port = address.rpartition(":")[2]
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "serve_app.main" in command and command[command.index("--port") + 1] == port:
            return process
    raise AssertionError(f"no service was started for {address}")


def data_of(server: psutil.Process) -> Path:
    command = server.cmdline()
    return Path(command[command.index("--data") + 1])


def _role(process: psutil.Process) -> str:
    """What a process is, in the same words however often it is replaced."""
    command = " ".join(process.cmdline())
    if found := re.search(r"ray::(?:ServeReplica:\w+:)?(\w+)", command):
        return found[1]
    for name in ("decode_worker", "serve_app.main", "gcs_server", "raylet/raylet", "log_monitor"):
        if name in command:
            return name
    return process.name()


def _count(folder: Path) -> int:
    return sum(1 for path in folder.rglob("*") if path.is_file())
