"""Decoding in child processes, which may hang or crash without harm to others."""

from __future__ import annotations

import logging
import math
import os
import queue
import resource
import select
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import dubl
from dubl.closing import Closing
from dubl.errors import DecoderCrashed, DecodeTimeout, LeaseLost
from dubl.media import wire
from dubl.media.bands import STEP_S
from dubl.media.sampling import max_rows
from dubl.settings import MediaSettings
from dubl.types import MAX_FURTHER_STREAMS, MAX_VIEWS, FrameClip, Sampling, VideoSource

logger = logging.getLogger(__name__)

_WORKER = (sys.executable, "-m", "dubl.media.decode_worker")
# All values are chosen.
_START_TIMEOUT_S = 120.0
# The process checks its own deadline between pictures. It is killed this factor and time later.
_PATIENCE = 1.1
_PATIENCE_S = 1.0
_POLL_S = 0.25  # seconds between two looks at `stopped`
_NEVER = threading.Event()
_UNWANTED = "decoding was stopped: the job was cancelled or another process runs it"
_LOG_BYTES = 2000  # of the process's error output, for the log
_MAX_GROWTH = 0.5  # share of the memory limit by which a process may grow between files
_PASSED_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONPATH", "TZ")


class SandboxedDecoder(Closing):
    """Decodes in child processes (ports.Decoder). Threads may share one.

    At most `processes` files are decoded at a time; further callers wait.
    """

    def __init__(
        self, settings: MediaSettings, *, processes: int = 1, command: Sequence[str] = _WORKER
    ) -> None:
        self._settings = settings
        self._workers = [_Worker(settings, command) for _ in range(processes)]
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def decode(
        self,
        source: VideoSource,
        *,
        sampling: Sampling,
        stopped: threading.Event = _NEVER,
    ) -> FrameClip:
        """Reads sampled frames. Setting `stopped` ends the process.

        Raises MediaError, DecodeTimeout, DecoderCrashed, and LeaseLost if it was stopped.
        """
        with closing(self._clips(source, sampling, stopped, in_parts=False)) as clips:
            (clip,) = clips
            return clip

    def parts(
        self,
        source: VideoSource,
        *,
        sampling: Sampling,
        stopped: threading.Event = _NEVER,
    ) -> Generator[FrameClip]:
        """As FileDecoder.parts. The process waits while the caller is busy with a part."""
        return self._clips(source, sampling, stopped, in_parts=True)

    def _clips(
        self, source: VideoSource, sampling: Sampling, stopped: threading.Event, *, in_parts: bool
    ) -> Generator[FrameClip]:
        worker = self._idle.get()
        try:
            yield from worker.clips(source, sampling, stopped, in_parts=in_parts)
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """Ends all processes. A file being decoded fails with DecoderCrashed."""
        for worker in self._workers:
            worker.close()


class _Died(Exception):
    """The process closed its output."""


class _TimedOut(Exception):
    """The process did not answer in time."""


class _Stopped(Exception):
    """`stopped` was set."""


class _Worker:
    """One process. It is replaced after it was killed or has crashed."""

    def __init__(self, settings: MediaSettings, command: Sequence[str]) -> None:
        self._settings = settings
        self._command = command
        self._limit_s = settings.decode_timeout_s * _PATIENCE + _PATIENCE_S
        self._lock = threading.Lock()
        self._closed = False
        self._stopped = _NEVER
        self._ready = False
        self._size_bytes = 0  # of the address space, before the first file
        self._process = self._start()

    def clips(
        self, source: VideoSource, sampling: Sampling, stopped: threading.Event, *, in_parts: bool
    ) -> Generator[FrameClip]:
        with self._lock:
            self._await_ready()
            self._stopped = stopped
            try:
                yield from self._guarded(source, sampling, in_parts=in_parts)
            finally:
                self._stopped = _NEVER
                self._replace_grown()

    def close(self) -> None:
        self._closed = True
        self._process.kill()  # a waiting caller gets DecoderCrashed
        with self._lock:
            self._end()

    def _await_ready(self) -> None:
        if self._closed:
            raise DecoderCrashed("the decoder is closed")
        if self._process.poll() is not None:
            self._restart()
        if self._ready:
            return
        try:
            opening = self._read_header(time.monotonic() + _START_TIMEOUT_S)
        except (_TimedOut, _Died, ValueError) as exc:
            status = self._restart()
            raise DecoderCrashed(
                "the decoding process did not start", context={"exit_status": status}
            ) from exc
        if lacks := opening.get("lacks"):
            logger.warning("this platform cannot confine decoding processes by %s", lacks)
        self._ready = True
        self._size_bytes = _address_space(self._process.pid)

    def _replace_grown(self) -> None:
        """Replaces a process that has grown: untrusted files can make libraries leak memory."""
        if not self._ready or self._closed:
            return
        room = self._settings.decode_memory_bytes - self._size_bytes
        if _address_space(self._process.pid) - self._size_bytes > room * _MAX_GROWTH:
            self._restart()

    def _guarded(
        self, source: VideoSource, sampling: Sampling, *, in_parts: bool
    ) -> Generator[FrameClip]:
        located = replace(source, path=str(Path(source.path).absolute()))
        try:
            yield from self._ask(located, sampling, in_parts=in_parts)
        except GeneratorExit:  # nobody wants the further parts
            self._restart()
            raise
        except _Stopped as exc:
            self._restart()
            raise LeaseLost(_UNWANTED) from exc
        except _TimedOut as exc:
            self._restart()
            limit_s = self._settings.decode_timeout_s
            raise DecodeTimeout(
                f"decoding took longer than media.decode_timeout_s ({limit_s:g} s) and was stopped",
                context={"limit_s": limit_s, "name": source.name},
            ) from exc
        except (_Died, BrokenPipeError, ValueError) as exc:
            status = self._restart()
            raise DecoderCrashed(
                "the decoding process crashed on the file",
                context={"exit_status": status, "name": source.name},
            ) from exc

    def _ask(
        self, source: VideoSource, sampling: Sampling, *, in_parts: bool
    ) -> Generator[FrameClip]:
        if self._stopped.is_set():  # while this file waited for a process
            raise LeaseLost(_UNWANTED)
        expires_at = time.monotonic() + self._limit_s
        self._write(wire.request(source, sampling, in_parts=in_parts))
        rows = math.ceil(self._settings.max_duration_s * sampling.rate_hz)
        rows = min(rows, max_rows(self._settings, sampling))
        views = 1 if sampling.views == "whole" else MAX_VIEWS
        views += MAX_FURTHER_STREAMS if sampling.every_stream else 0
        room = max(rows, sampling.min_frames, len(sampling.times_s)) * views
        while "end" not in (header := self._read_header(expires_at)):
            clip = wire.empty_clip(
                header,
                frame_size=sampling.frame_size,
                max_rows=room,
                max_sound_rows=math.ceil(self._settings.max_duration_s / STEP_S) * sampling.sound,
                in_parts=in_parts,
            )
            for part in wire.buffers(clip):
                self._read_into(part, expires_at)
            room -= len(clip.frames)
            paused = time.monotonic()
            yield clip
            expires_at += time.monotonic() - paused
            del clip, part  # before there is memory for the next one

    def _start(self) -> subprocess.Popen[bytes]:
        # "-m" finds the package in the folder above it.
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=Path(dubl.__path__[0]).parent,
            env=_environment(),
        )
        self._last_words = bytearray()
        threading.Thread(
            target=_drain, args=(process, self._last_words), name="decoder-stderr", daemon=True
        ).start()
        self._process = process
        try:
            self._write(self._settings.model_dump(mode="json"))
        except BrokenPipeError:
            logger.warning("a decoding process ended during its start")
        return process

    def _restart(self) -> int:
        """Replaces the process; returns the exit status of the old one (-9: killed)."""
        status = self._end()
        last_words = self._last_words.decode(errors="replace")
        logger.warning("replacing a decoding process, exit status %d: %s", status, last_words)
        if not self._closed:
            self._process, self._ready = self._start(), False
        return status

    def _end(self) -> int:
        process = self._process
        process.kill()
        status = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        return status

    def _write(self, header: wire.Header) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(wire.pack(header))

    def _read_header(self, expires_at: float) -> wire.Header:
        head = bytearray(wire.LENGTH.size)
        self._read_into(memoryview(head), expires_at)
        (length,) = wire.LENGTH.unpack(head)
        if length > wire.MAX_HEADER_BYTES:
            raise ValueError("the process sent an invalid header")
        body = bytearray(length)
        self._read_into(memoryview(body), expires_at)
        return wire.unpack(bytes(body))

    def _read_into(self, view: memoryview, expires_at: float) -> None:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while len(view):
            left_s = expires_at - time.monotonic()
            if left_s <= 0:
                raise _TimedOut
            if not poll.poll(min(left_s, _POLL_S) * 1e3):
                if self._stopped.is_set():
                    raise _Stopped
                continue
            count = os.readv(descriptor, [view])
            if count == 0:
                raise _Died
            view = view[count:]


def _address_space(pid: int) -> int:
    """Size of the address space in bytes; 0 if unknown, or if the process has ended."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[0]
    except (OSError, IndexError):
        return 0
    return int(pages) * resource.getpagesize()


def _environment() -> dict[str, str]:
    """The environment variables of the process, without credentials."""
    passed = {name: os.environ[name] for name in _PASSED_VARIABLES if name in os.environ}
    return {**passed, "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _drain(process: subprocess.Popen[bytes], last_words: bytearray) -> None:
    """Reads the process's error output to its end, so that it never blocks; keeps the last part."""
    assert process.stderr is not None
    with process.stderr as stream:
        while chunk := stream.read(1 << 16):
            last_words += chunk
            del last_words[:-_LOG_BYTES]
