"""Findings of `dubl doctor` about machine, model, data folder, service, cluster; with advice."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from importlib import metadata
from pathlib import Path

import duckdb
import numpy as np
from packaging.requirements import Requirement

from dubl.assembly import (
    calibration_of,
    feature_spec,
    make_decoder,
    make_embedder,
    make_store,
    reference_sampling,
    weights_folder,
)
from dubl.client.client import Client
from dubl.client.errors import ApiError, ClientError
from dubl.errors import DublError
from dubl.footage.video_file import TimedFrame, write_video
from dubl.index.spaces import library_uri
from dubl.index.tables import is_folder
from dubl.ledger.schema import SCHEMA_VERSION
from dubl.media.sources import local_source
from dubl.models.cards import read_weights
from dubl.settings import Settings
from dubl.types import FrameClip


class State(StrEnum):
    OK = "ok"
    NOTE = "note"  # works, but is unusual
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`advice`: what to do; empty if nothing."""

    topic: str
    state: State
    text: str
    advice: str = ""


def fine(topic: str, text: str) -> Finding:
    return Finding(topic=topic, state=State.OK, text=text)


def note(topic: str, text: str, advice: str = "") -> Finding:
    return Finding(topic=topic, state=State.NOTE, text=text, advice=advice)


def problem(topic: str, text: str, advice: str) -> Finding:
    return Finding(topic=topic, state=State.PROBLEM, text=text, advice=advice)


def from_error(topic: str, error: DublError | ClientError, advice: str = "") -> Finding:
    """A problem with the error's detail, and its hint or else `advice`."""
    return problem(topic, error.detail, error.hint or advice)


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


# Frames, pixels and rate of the test video.
FRAMES, SIDE, RATE_HZ = 24, 160, 12.0


def look_at_model(settings: Settings) -> Iterator[Finding]:
    try:
        folder = weights_folder(settings)
        read_weights(folder)
        calibration_of(folder)
    except DublError as exc:
        yield from_error("weights", exc, REINSTALL)
        return
    spec = feature_spec(settings)
    yield fine("weights", f"{spec.model_id}@{spec.weights_sha256[:12]} matches its card")
    try:
        clip = _tried_decoder(settings)
    except DublError as exc:
        yield from_error("decoder", exc, REINSTALL)
        return
    yield fine("decoder", f"{clip.facts.backend} reads {clip.facts.codec} video")
    yield _tried_network(settings, clip)


def _tried_decoder(settings: Settings) -> FrameClip:
    with tempfile.TemporaryDirectory(prefix="dubl-doctor-") as home:
        path = Path(home) / "film.mp4"
        _write_film(path)
        decoder = make_decoder(settings)
        return decoder.decode(local_source(path), sampling=reference_sampling(settings))


def _write_film(path: Path) -> None:
    shades = np.linspace(0, 255, SIDE * SIDE * 3).reshape(SIDE, SIDE, 3)
    pictures = [np.roll(shades, 4 * number, axis=1).astype(np.uint8) for number in range(FRAMES)]
    frames = [
        TimedFrame(time_s=number / RATE_HZ, image=picture)
        for number, picture in enumerate(pictures)
    ]
    write_video(path, frames, frame_rate=RATE_HZ)


def _tried_network(settings: Settings, clip: FrameClip) -> Finding:
    try:
        (features,) = make_embedder(settings).embed([clip])
    except DublError as exc:
        return from_error("network", exc, REINSTALL)
    if not np.isfinite(features.descriptors).all():
        return problem("network", "its output is not finite", "Set `model.device=cpu`.")
    return fine("network", f"embeds {clip.frames.shape[0]} frames")


LITTLE_BYTES, TOO_LITTLE_BYTES = 5 * 1024**3, 512 * 1024**2


def look_at_data(settings: Settings, spaces: Sequence[Settings]) -> Iterator[Finding]:
    """Findings about the data folder, and about the library in each feature space."""
    folder = settings.data_dir
    if not folder.is_dir():
        yield note("data folder", f"{folder} does not exist yet", "The service creates it.")
        return
    yield writable(folder)
    yield free_disk(folder)
    if settings.ledger_place == settings.ledger_path:
        yield ledger(settings.ledger_path)
    else:
        yield note("ledger", "in PostgreSQL, and not examined", "`--url` examines a service.")
    yield from map(library, spaces)


def writable(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"dubl")
    except OSError as exc:
        return problem(
            "data folder",
            f"{folder} cannot be written: {exc.strerror}",
            "Make it writable for the service's user (`chown`), or choose another --data.",
        )
    return fine("data folder", f"{folder} is writable")


def free_disk(folder: Path) -> Finding:
    free_bytes = shutil.disk_usage(folder).free
    shown = f"{free_bytes / GIB:.1f} GiB free"
    if free_bytes < TOO_LITTLE_BYTES:
        return problem(
            "disk",
            shown,
            "Free disk space, or the service will soon refuse requests. `evidence.max_bytes` "
            "limits the size of evidence.",
        )
    if free_bytes < LITTLE_BYTES:
        return note("disk", shown, "Free disk space: uploads are stored here during their jobs.")
    return fine("disk", shown)


def ledger(path: Path) -> Finding:
    """The version of the ledger's tables, or the process that holds it."""
    if not path.exists():
        return note("ledger", f"{path} does not exist yet", "The service creates it.")
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    except duckdb.IOException as exc:
        if "lock" in str(exc).lower():
            return note(
                "ledger",
                f"another process holds it: {_holder(str(exc))}",
                "This is normal while the service runs. Examine it with --url.",
            )
        return problem("ledger", str(exc), _RESTORE)
    except duckdb.Error as exc:
        return problem("ledger", str(exc), _RESTORE)
    version = int(row[0]) if row is not None else 0
    if version > SCHEMA_VERSION:
        return problem(
            "ledger",
            f"its tables have version {version}; this program supports {SCHEMA_VERSION}",
            "Use the newer program that wrote it, or restore an older back-up.",
        )
    if version < SCHEMA_VERSION:
        return note("ledger", f"tables of version {version}", "The next start upgrades them.")
    return fine("ledger", f"tables of version {version}, not in use")


def port(host: str, number: int) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as exc:
            return note(
                "port",
                f"{host}:{number} is not free: {exc.strerror}",
                "If a service runs there, examine it with --url. Else choose another --port.",
            )
    return fine("port", f"{host}:{number} is free")


def library(settings: Settings) -> Finding:
    """The library in the settings' feature space. Missing tables are not created."""
    try:
        uri = library_uri(settings.index_uri, feature_spec(settings), beside=settings.is_challenger)
        if is_folder(uri) and not any(Path(uri).glob("*.lance")):
            return _nothing_there(settings)
        store = make_store(settings, read_only=True)
        count, health = sum(store.libraries().values()), store.index_health()
    except DublError as exc:
        return from_error("library", exc)
    recall = "" if health.recall is None else f", recall {health.recall:.3f}"
    shown = f"{count} references, {health.frames} frames, search {health.index_type}{recall}"
    if health.recall is not None and health.recall < 0.9:
        return note("library", shown, "Retrain the index: `python -m pipelines.build_index`.")
    return fine("library", shown)


def _nothing_there(settings: Settings) -> Finding:
    if settings.is_challenger:
        return note(
            "library",
            f"the feature space of {settings.model.weights} is empty",
            "Fill it: `python -m pipelines.index_archive ARCHIVE --space candidate`.",
        )
    return note("library", "it is empty", "Add videos: `dubl references add`, `dubl index`.")


def _holder(text: str) -> str:
    """The process, from the middle of DuckDB's message."""
    start = text.find("held in")
    return text[start:].split(". ")[0] if start >= 0 else text.split("\n")[0]


_RESTORE = "Restore the last back-up into another folder: `dubl restore DIR --data NEW`."


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
    command = [sys.executable, "-m", "pipelines.cluster", address]
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
