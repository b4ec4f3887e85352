"""A decoding process has given up what only an intruder would use."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from dubl.errors import DecoderCrashed
from dubl.media.sandbox import SandboxedDecoder
from dubl.settings import MediaSettings
from dubl.types import Sampling, VideoSource

REPOSITORY = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="the filter of system calls is that of Linux on x86-64",
)


def _confined(statement: str, *arguments: str) -> str:
    """What a confined process prints about the statement."""
    script = f"""
import os, resource, socket, sys, threading
from pathlib import Path
from dubl.media.confinement import confine
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def called(number, *arguments):
    if libc.syscall(number, *arguments) != 0:
        raise OSError(ctypes.get_errno(), "refused")
assert confine(2 << 30) == ()
try:
    {statement}
    print("done")
except OSError as exc:
    print(type(exc).__name__)
"""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.mark.parametrize(
    "statement",
    [
        "socket.socket()",
        "socket.socketpair()",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.kill(os.getppid(), 0)",
        "called(234, os.getppid(), os.getppid(), 0)",
        "called(129, os.getppid(), 0, 0)",
        "called(297, os.getppid(), os.getppid(), 0, 0)",
        "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)",
        "Path(sys.argv[1], 'new').write_text('x')",
        "Path(sys.argv[1], 'old').open('a')",
        "Path(sys.argv[1], 'old').unlink()",
        "Path(sys.argv[1], 'old').rename(Path(sys.argv[1], 'other'))",
        "os.truncate(Path(sys.argv[1], 'old'), 0)",
        "os.chmod(Path(sys.argv[1], 'old'), 0o777)",
        "Path(sys.argv[1], 'folder').mkdir()",
        "os.utime(Path(sys.argv[1], 'old'), (0, 0))",
        "os.setxattr(Path(sys.argv[1], 'old'), 'user.a', b'b')",
        "os.memfd_create('a')",
        "os.sched_setaffinity(os.getppid(), {0})",
        "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
        "called(29, 5, 4096, 0o1600)",
        "called(240, b'queue', os.O_CREAT, 0o600, 0)",
        "Path('/proc', str(os.getppid()), 'environ').read_bytes()",
        "Path('/proc', str(os.getppid()), 'cmdline').read_bytes()",
        "Path('/proc', str(os.getppid()), 'mem').open('rb')",
        "Path('/proc/self/environ').read_bytes()",
        "os.listdir('/proc')",
        "os.listdir('/run')",
        "Path('/sys/kernel/uevent_seqnum').read_bytes()",
    ],
)
def test_what_a_decoder_never_needs_is_refused(tmp_path: Path, statement: str) -> None:
    (tmp_path / "old").write_text("kept")
    assert _confined(statement, str(tmp_path)) == "PermissionError"
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "kept"


def test_files_of_processes_are_refused_to_all_threads_of_the_worker() -> None:
    """Landlock holds for the thread that asks for it and for those that it starts."""
    script = "import dubl.media.decode_worker, os; print(len(os.listdir('/proc/self/task')))"
    told = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env={"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "1"


@pytest.mark.parametrize(
    "statement",
    [
        "Path(os.__file__).read_text()",
        "os.listdir('/usr')",
        "threading.Thread(target=lambda: None).start()",
        "resource.getrlimit(resource.RLIMIT_NOFILE)",
        "called(234, os.getpid(), threading.get_native_id(), 0)",
    ],
)
def test_reading_and_threads_remain(statement: str) -> None:
    assert _confined(statement) == "done"


def test_the_worker_has_no_credentials_and_no_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    script = tmp_path / "worker.py"
    script.write_text(
        f"""
import os, socket, sys
sys.path.insert(0, {str(REPOSITORY)!r})
from dubl.errors import DecoderCrashed
from dubl.media import decode_worker, decoder

def taken_over(self, source, *, sampling):
    found = "AWS_SECRET_ACCESS_KEY" in os.environ
    try:
        socket.socket()
    except OSError as exc:
        raise DecoderCrashed(f"secret {{found}}, socket {{type(exc).__name__}}")

decoder.FileDecoder.decode = taken_over
decode_worker.main()
"""
    )
    source = VideoSource(path=str(script), sha256="", size_bytes=0, name="a")
    with (
        SandboxedDecoder(MediaSettings(), command=(sys.executable, str(script))) as worker,
        pytest.raises(DecoderCrashed) as caught,
    ):
        worker.decode(source, sampling=Sampling(rate_hz=1, min_frames=1, frame_size=32))
    assert caught.value.detail == "secret False, socket PermissionError"


@pytest.mark.parametrize(
    "answer",
    [
        '{"rows": 1, "facts": {"nonsense": 1}, "timings_ms": {}}',
        '{"rows": 1, "facts": 5, "timings_ms": {}}',
        '{"rows": 1000000000, "facts": {}, "timings_ms": {}}',
        '{"rows": 1, "facts": {}, "timings_ms": {"decode": []}}',
        '{"error": "unauthorized", "detail": "log in at example.org"}',
        '{"error": "store_unavailable", "detail": "no"}',
        '{"error": 5, "context": 7}',
        "[" * 100_000,
        "5",
    ],
)
def test_what_a_taken_over_worker_says_is_not_believed(tmp_path: Path, answer: str) -> None:
    script = tmp_path / "liar.py"
    script.write_text(
        f"""
import struct, sys
for text in ('{{"ready": true}}', {answer!r}):
    sys.stdout.buffer.write(struct.pack("!I", len(text)) + text.encode())
sys.stdout.buffer.flush()
sys.stdin.buffer.read()
"""
    )
    source = VideoSource(path=str(script), sha256="", size_bytes=0, name="a")
    with (
        SandboxedDecoder(MediaSettings(), command=(sys.executable, str(script))) as worker,
        pytest.raises(DecoderCrashed),
    ):
        worker.decode(source, sampling=Sampling(rate_hz=1, min_frames=1, frame_size=32))
