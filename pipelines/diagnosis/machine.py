"""Findings about this machine: Python, packages, memory, open files."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from pipelines.diagnosis.finding import Finding, fine, note, problem

OLDEST, NEWEST = (3, 11), (3, 13)
PROJECT = "dubl"
SHARED_MEMORY = Path("/dev/shm")
WANTED_SHARED_BYTES = 2 * 1024**3
WANTED_MEMORY_BYTES = 4 * 1024**3
WANTED_FILES = 4096
GIB = 1024**3
REINSTALL = "Install again: `make install`, or `pip install --force-reinstall 'dubl[serve]'`."


def look_at_machine() -> Iterator[Finding]:
    yield python_version(sys.version_info[:2])
    yield _platform()
    yield packages(PROJECT)
    yield shared_memory(SHARED_MEMORY)
    yield _memory()
    yield _open_files()


def python_version(version: tuple[int, int]) -> Finding:
    shown = ".".join(map(str, version))
    if OLDEST <= version <= NEWEST:
        return fine("Python", f"{shown}")
    return problem("Python", f"{shown} is not supported", "Use Python 3.11, 3.12 or 3.13.")


def packages(project: str) -> Finding:
    """Whether the packages of the service are installed in an accepted version."""
    try:
        wanted = [Requirement(text) for text in metadata.requires(project) or []]
    except metadata.PackageNotFoundError:
        return problem("packages", f"{project} itself is not installed", REINSTALL)
    wrong = []
    asked = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": "serve"})]
    for one in asked:
        try:
            version = metadata.version(one.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{one.name} is missing")
            continue
        if not one.specifier.contains(version, prereleases=True):
            wrong.append(f"{one.name} {version} is not {one.specifier}")
    if wrong:
        return problem("packages", "; ".join(wrong), REINSTALL)
    named = [f"{name} {metadata.version(name)}" for name in ("ray", "lancedb", "duckdb", "av")]
    own = metadata.version(project)
    return fine("packages", f"{project} {own}, all {len(asked)} required: {', '.join(named)}, …")


def shared_memory(folder: Path) -> Finding:
    """Free shared memory for Ray's objects. Without it Ray uses the disk, which is slow."""
    try:
        free_bytes = shutil.disk_usage(folder).free
    except OSError:
        return note("shared memory", f"{folder} does not exist", "Ray will use the disk instead.")
    shown = f"{free_bytes / GIB:.1f} GiB free in {folder}"
    if free_bytes >= WANTED_SHARED_BYTES:
        return fine("shared memory", shown)
    return note(
        "shared memory",
        shown,
        "Give a container more: `docker run --shm-size=4g`, `shm_size` in compose, or an emptyDir "
        "of medium Memory on Kubernetes.",
    )


def _platform() -> Finding:
    system, machine = platform.system(), platform.machine()
    if (system, machine) == ("Linux", "x86_64"):
        return fine("platform", f"{system} {machine}, {os.cpu_count()} CPUs")
    return note("platform", f"{system} {machine}", "Only Linux x86-64 is tested.")


def _memory() -> Finding:
    size_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    shown = f"{size_bytes / GIB:.1f} GiB"
    if size_bytes >= WANTED_MEMORY_BYTES:
        return fine("memory", shown)
    return note("memory", shown, "The whole service on one machine needs 4 GiB.")


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= WANTED_FILES:
        return fine("open files", f"up to {soft}")
    return note("open files", f"up to {soft}", f"Raise it: `ulimit -n {min(hard, 65536)}`.")
