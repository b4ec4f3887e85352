"""Confinement of processes that read untrusted files.

A decoder that is taken over by a file can only use a bounded amount of memory and answer its owner.
It cannot write or remove files, run programs, open connections, or access other processes. It can
read files, but for those that tell of processes, devices and secrets (`UNREAD`), and cannot send
their content anywhere but into its answers.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

MAX_OPEN_FILES = 64  # chosen

# Folders of the root whose files are refused. Secrets of containers lie in /run; drives that a
# desktop mounts are at /run/media.
UNREAD = ("dev", "proc", "run", "sys")
_READ = (Path("/run/media"),)

_PR_SET_NO_NEW_PRIVS = 38
# System calls of Landlock, the same on every processor; rights of its first version.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_LANDLOCK_PATH = 1
_LANDLOCK_ALL = (1 << 13) - 1
_LANDLOCK_READ = 1 << 2 | 1 << 3  # files and folders
_SYS_SECCOMP = 317
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_TSYNC = 1  # also for threads that libraries have started
_AUDIT_ARCH_X86_64 = 0xC000003E
_X32_SYSCALLS = 0x40000000
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000

# Fields of struct seccomp_data, and the BPF instructions that read and compare them.
_NUMBER, _ARCH, _ARGUMENT_0, _ARGUMENT_1, _ARGUMENT_2 = 0, 4, 16, 24, 32
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

_OPEN, _OPENAT, _CLONE, _CLONE3 = 2, 257, 56, 435
_TGKILL, _PRLIMIT64 = 234, 302
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CLONE_THREAD = 0x00010000

# Numbers of x86-64.
REFUSED_SYSCALLS: Mapping[str, int] = {
    # connections
    **{"socket": 41, "connect": 42, "accept": 43, "bind": 49, "listen": 50, "socketpair": 53},
    **{"accept4": 288, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427},
    # programs and other processes
    **{"fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "kill": 62, "ptrace": 101},
    **{"process_vm_readv": 310, "process_vm_writev": 311, "process_madvise": 440},
    **{"pidfd_open": 434, "pidfd_getfd": 438, "pidfd_send_signal": 424, "tkill": 200},
    **{"rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "kcmp": 312, "process_mrelease": 448},
    **{"setpriority": 141, "sched_setparam": 142, "sched_setscheduler": 144, "ioprio_set": 251},
    **{"sched_setaffinity": 203, "sched_setattr": 314, "migrate_pages": 256, "move_pages": 279},
    # memory and queues that others see
    **{"shmget": 29, "shmat": 30, "shmctl": 31, "semget": 64, "semop": 65, "semctl": 66},
    **{"msgget": 68, "msgsnd": 69, "msgrcv": 70, "msgctl": 71, "mq_open": 240, "mq_unlink": 241},
    **{"memfd_create": 319, "memfd_secret": 447},
    # files
    **{"truncate": 76, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85, "link": 86},
    **{"unlink": 87, "symlink": 88, "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93},
    **{"lchown": 94, "mknod": 133, "mkdirat": 258, "mknodat": 259, "fchownat": 260},
    **{"unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266, "fchmodat": 268},
    **{"open_by_handle_at": 304, "renameat2": 316, "openat2": 437, "fchmodat2": 452},
    **{"setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197},
    **{"lremovexattr": 198, "fremovexattr": 199, "setxattrat": 463, "removexattrat": 466},
    **{"utime": 132, "utimes": 235, "futimesat": 261, "utimensat": 280, "fanotify_init": 300},
    # the machine
    **{"pivot_root": 155, "chroot": 161, "mount": 165, "umount2": 166, "init_module": 175},
    **{"kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272},
    **{"perf_event_open": 298, "setns": 308, "finit_module": 313, "bpf": 321},
    **{"userfaultfd": 323, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsmount": 432},
}


def confine(memory_bytes: int) -> tuple[str, ...]:
    """Sets resource limits, bars `UNREAD` (Landlock) and filters system calls (seccomp).

    Returns what this platform lacks of the last two. Landlock is that of Linux from 5.13 on, the
    filter that of Linux on x86-64. To be called before other threads start.
    """
    _limit(memory_bytes)
    if sys.platform != "linux":
        return ("Landlock", "a filter of system calls")
    libc = ctypes.CDLL(None, use_errno=True)
    private = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    lacks = () if private and _bar_files(libc) else ("Landlock",)
    return lacks if private and _filter_calls(libc) else (*lacks, "a filter of system calls")


def _bar_files(libc: ctypes.CDLL) -> bool:
    """Enters a Landlock domain, whose processes neither trace nor read the memory of others."""
    handled = struct.pack("Q", _LANDLOCK_ALL)
    rules = libc.syscall(_LANDLOCK_CREATE, ctypes.c_char_p(handled), len(handled), 0)
    if rules < 0:
        return False
    allowed = [path for path in Path("/").iterdir() if path.is_dir() and path.name not in UNREAD]
    for path in (*allowed, *filter(Path.is_dir, _READ)):
        folder = os.open(path, os.O_PATH)
        rule = struct.pack("=Qi", _LANDLOCK_READ, folder)
        added = libc.syscall(_LANDLOCK_ADD, rules, _LANDLOCK_PATH, ctypes.c_char_p(rule), 0) == 0
        os.close(folder)
        if not added:
            return False
    entered: int = libc.syscall(_LANDLOCK_RESTRICT, rules, 0)
    os.close(rules)
    return entered == 0


def _filter_calls(libc: ctypes.CDLL) -> bool:
    if platform.machine() != "x86_64":
        return False
    instructions = b"".join(_filter())
    code = ctypes.create_string_buffer(instructions, len(instructions))
    program = struct.pack("HxxxxxxQ", len(instructions) // 8, ctypes.addressof(code))
    arguments = (_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC)
    return bool(libc.syscall(_SYS_SECCOMP, *arguments, ctypes.c_char_p(program)) == 0)


def _limit(memory_bytes: int) -> None:
    _lower(resource.RLIMIT_AS, memory_bytes)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)


def _lower(kind: int, limit: int) -> None:
    """Lowers both limits, so that the process cannot raise them again."""
    hard = resource.getrlimit(kind)[1]
    lowered = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (lowered, lowered))


def _filter() -> Iterable[bytes]:
    """The program: each check ends in an answer or falls through to the next."""
    refused = _REFUSE | errno.EPERM
    yield _instruction(_LOAD, _ARCH)
    yield _instruction(_JUMP_EQUAL, _AUDIT_ARCH_X86_64, passed=1)
    yield _instruction(_RETURN, refused)
    yield _instruction(_LOAD, _NUMBER)
    yield from _answer_if(_JUMP_AT_LEAST, _X32_SYSCALLS, refused)
    for number in REFUSED_SYSCALLS.values():
        yield from _answer_if(_JUMP_EQUAL, number, refused)
    # The C library falls back to clone, whose flags can be seen.
    yield from _answer_if(_JUMP_EQUAL, _CLONE3, _REFUSE | errno.ENOSYS)
    yield from _if_any(_OPEN, _ARGUMENT_1, _WRITING, refused, _ALLOW)
    yield from _if_any(_OPENAT, _ARGUMENT_2, _WRITING, refused, _ALLOW)
    yield from _if_any(_CLONE, _ARGUMENT_0, _CLONE_THREAD, _ALLOW, refused)
    # A process may end itself, and ask for its own limits: 0 means itself.
    yield from _if(_JUMP_EQUAL, _TGKILL, _ARGUMENT_0, os.getpid(), _ALLOW, refused)
    yield from _if(_JUMP_EQUAL, _PRLIMIT64, _ARGUMENT_0, 0, _ALLOW, refused)
    yield _instruction(_RETURN, _ALLOW)


def _answer_if(comparison: int, value: int, answer: int) -> Iterable[bytes]:
    yield _instruction(comparison, value, failed=1)
    yield _instruction(_RETURN, answer)


def _if_any(number: int, argument: int, flags: int, some: int, none: int) -> Iterable[bytes]:
    """For one call: answer `some` if any of the flags is set, else `none`."""
    return _if(_JUMP_ANY_BIT, number, argument, flags, some, none)


def _if(
    comparison: int, number: int, argument: int, value: int, passed: int, failed: int
) -> Iterable[bytes]:
    """For one call: answer `passed` if the comparison of one argument holds, else `failed`."""
    yield _instruction(_JUMP_EQUAL, number, failed=4)
    yield _instruction(_LOAD, argument)
    yield _instruction(comparison, value, failed=1)
    yield _instruction(_RETURN, passed)
    yield _instruction(_RETURN, failed)


def _instruction(code: int, value: int, *, passed: int = 0, failed: int = 0) -> bytes:
    """struct sock_filter; jumps count the instructions to be left out."""
    return struct.pack("HBBI", code, passed, failed, value)
