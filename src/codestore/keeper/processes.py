"""Asking the kernel about processes, and ending them. Linux where it says so."""

import contextlib
import ctypes
import os
import select
import signal
import sys
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LINUX: Final = sys.platform == "linux"
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36

# Loaded at import: between fork and exec a child should do as little as it can.
_libc = ctypes.CDLL(None, use_errno=True) if _LINUX else None


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """What ``/proc/<pid>/stat`` says. ``start`` is in clock ticks since boot."""

    state: str
    parent: int
    session: int
    start: int


def stat(pid: int) -> ProcessStat | None:
    """Look at a process; ``None`` when there is none, or no ``/proc``."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The second field is the program's name in parentheses and may itself hold blanks and ")".
    rest = text.rpartition(b")")[2].split()
    return ProcessStat(rest[0].decode(), int(rest[1]), int(rest[3]), int(rest[19]))


def boot_id() -> str:
    """Return what tells this boot from every other one; empty where there is no ``/proc``."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def everyone() -> Iterator[int]:
    """Iterate over all process ids; over none where there is no ``/proc``."""
    with contextlib.suppress(OSError), os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdigit():
                yield int(entry.name)


def session_of(pid: int) -> int | None:
    """Return the session of a process, or ``None`` when it has gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def children_of(parent: int) -> list[int]:
    """Return the processes whose parent this is."""
    return [pid for pid in everyone() if (seen := stat(pid)) and seen.parent == parent]


def lineage(pid: int) -> Iterator[int]:
    """Iterate over ``pid`` and its ancestors up to the first process."""
    while pid > 1:
        yield pid
        seen = stat(pid)
        pid = seen.parent if seen else 0


def kill_sessions(leaders: Set[int]) -> None:
    """SIGKILL everybody in the sessions of these leaders.

    Group by group, because the kernel kills a group atomically: nobody escapes by forking.
    """
    groups = set(leaders)
    for pid in everyone():
        if session_of(pid) in leaders:
            with contextlib.suppress(OSError):
                groups.add(os.getpgid(pid))
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends (Linux)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def speaks(descriptor: int, seconds: float) -> bool:
    """Wait until a descriptor is readable; it may have any number, as ``select`` does not allow."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def die_with_parent(number: int) -> None:
    """Have the kernel send this process a signal when its parent ends (Linux)."""
    _prctl(_PR_SET_PDEATHSIG, number)


def _prctl(option: int, value: int) -> None:
    if _libc is not None and _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
