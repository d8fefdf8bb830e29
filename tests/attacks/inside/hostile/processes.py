"""Attacks on processes: of others, and on how many there may be."""

import ctypes
import os
import resource
import signal
from pathlib import Path

from app.tools import LIBC, NUMBER, checked, in_child


def environ_of(pid):
    return Path(f"/proc/{pid}/environ").read_bytes()[:40].hex()


def memory_of(pid):
    return os.open(f"/proc/{pid}/mem", os.O_RDONLY)


def executable_memory_of_another(pid):
    return os.open(f"/proc/{pid}/maps", os.O_RDONLY)


def processes(known):
    """Are there any that are not ours? The keeper's number is told."""
    names = []
    for entry in Path("/proc").glob("[0-9]*"):
        command = (entry / "cmdline").read_bytes()
        names.append(command.decode(errors="replace"))
    foreign = [name for name in names if any(word in name for word in known.split(","))]
    return " ".join(foreign)


def send_signal(pid):
    os.kill(int(pid), 0)
    return "may signal it"


def watch_process(pid):
    return os.pidfd_open(int(pid))


def raise_priority():
    os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) - 1)
    return "more important"


def trace_a_child():
    return in_child(_traced)


def _traced():
    return checked(LIBC.syscall(ctypes.c_long(NUMBER["ptrace"]), 0, 0, 0, 0))


def share_memory(key):
    """System V: a segment of the host's, by its number."""
    return checked(LIBC.shmget(int(key), 1, 0o600))


def fork_bomb():
    return in_child(_bomb)


def _bomb():
    """How many there can be; each of them ends with its parent."""
    children = []
    try:
        while len(children) < 3000:
            pid = os.fork()
            if pid == 0:
                LIBC.prctl(1, signal.SIGKILL)
                signal.pause()
                os._exit(0)
            children.append(pid)
    except OSError:
        return ""
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
    return f"{len(children)} processes"


def core_dump():
    return in_child(_core)


def _core():
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
    return "may leave one"
