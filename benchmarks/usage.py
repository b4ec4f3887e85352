"""CPU time and memory, of this process and of a service with all its children."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import psutil

Value = TypeVar("Value")


@dataclass(slots=True)
class Spent:
    """Filled when the measured block ends. most_bytes: the highest PSS seen, if it was watched."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    most_bytes: int = 0


def own_cpu_s() -> float:
    """CPU seconds of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def spending() -> Iterator[Spent]:
    """Measures this process over a block."""
    spent = Spent()
    cpu_s, started = own_cpu_s(), time.perf_counter()
    yield spent
    spent.cpu_s, spent.wall_s = own_cpu_s() - cpu_s, time.perf_counter() - started


class ProcessTree:
    """A process and whatever it has started."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    def cpu_s(self) -> float:
        """CPU seconds of all living processes, and of children that they have reaped."""
        return sum(self._each(lambda one: sum(one.cpu_times()[:4])))

    def cpu_by_process(self) -> dict[tuple[int, float], float]:
        """CPU seconds of each living process, by its id and the time of its start."""
        return dict(self._each(lambda one: ((one.pid, one.create_time()), _own_s(one))))

    def pss_bytes(self) -> int:
        """Memory, with pages shared among processes counted once."""
        return sum(self._each(lambda one: int(one.memory_full_info().pss)))

    def sizes(self) -> list[tuple[str, float, float]]:
        """Name, CPU seconds and PSS in MB of each process, largest first."""
        found = self._each(
            lambda one: (
                " ".join(one.cmdline())[:60] or one.name(),
                _own_s(one),
                one.memory_full_info().pss / 2**20,
            )
        )
        return sorted(found, key=lambda row: -row[2])

    def _each(self, read: Callable[[psutil.Process], Value]) -> list[Value]:
        """What is read of each process that lives and may be looked at."""
        found = []
        for process in (self._root, *self._root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                found.append(read(process))
        return found


def _own_s(process: psutil.Process) -> float:
    """CPU seconds of the process, without its children's."""
    return float(sum(process.cpu_times()[:2]))


def server_tree() -> ProcessTree:
    """The service that this process has started."""
    for child in psutil.Process(os.getpid()).children():
        if "serve_app.main" in child.cmdline():
            return ProcessTree(child.pid)
    raise RuntimeError("the service is not among the children of this process")


@contextmanager
def watching(*, every_s: float = 1.0, memory_every: int = 5) -> Iterator[Spent]:
    """This process and all its children over a block, those that end in it included: up to what
    they spend after the last look at them."""
    seen, tree, over = Spent(), ProcessTree(os.getpid()), threading.Event()
    started = time.perf_counter()
    before, latest = tree.cpu_by_process(), dict[tuple[int, float], float]()

    def look() -> None:
        looks = 0
        while not over.wait(every_s):
            latest.update(tree.cpu_by_process())
            if looks % memory_every == 0:
                seen.most_bytes = max(seen.most_bytes, tree.pss_bytes())
            looks += 1

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        seen.wall_s = time.perf_counter() - started
        over.set()
        watcher.join()
        latest.update(tree.cpu_by_process())
        seen.cpu_s = sum(spent - before.get(process, 0.0) for process, spent in latest.items())
