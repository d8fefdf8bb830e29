"""How a child is frozen: by SIGSTOP, or where the system lets us, by a control group.

``cgroups`` has the second way. A grip is had on each child from before its first instruction.
"""

import contextlib
import os
import signal
from pathlib import Path
from typing import Final, Protocol

from codestore.keeper import processes

_AT_REST: Final = frozenset(b"TZX")  # stopped, or ended


class Grip(Protocol):
    """One child, as something to be frozen. Only used while its pid is certainly its own."""

    async def prepare(self) -> None:
        """Do what takes its time before the first freeze. Never raises."""

    def freeze(self) -> None:
        """Begin to freeze it. Raises ``OSError``."""

    def frozen(self) -> bool:
        """Tell whether none of it runs any more."""

    def settle(self) -> None:
        """Give back what memory can be, while it stays frozen. Returns at once."""

    def thaw(self) -> None:
        """Let it run on. Never raises: it may have ended."""

    def release(self) -> None:
        """It has ended: forget it."""


class Freezer(Protocol):
    """Takes hold of children."""

    @property
    def name(self) -> str:
        """``cgroup`` or ``signal``."""

    def hold(self, pid: int, folder: Path | None = None) -> Grip:
        """Take hold of a child that has just begun. Never raises.

        ``folder`` is its control group of version 2, if it runs in one of its own.
        """

    def close(self) -> None:
        """Leave nothing behind; every child has ended."""


class SignalGrip:
    """SIGSTOP and SIGCONT to the process group."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._group: set[int] | None = None

    async def prepare(self) -> None:
        """Nothing."""

    def freeze(self) -> None:
        """Begin to freeze it. Raises ``OSError``."""
        self._group = None
        os.killpg(self._pid, signal.SIGSTOP)

    def frozen(self) -> bool:
        """Tell whether none of it runs any more.

        Who is in the group is asked when its leader has stopped: then nobody can join unnoticed,
        because a fork with a signal pending begins again.
        """
        if not _all_stopped(self._pid):
            return False
        if self._group is None:
            self._group = {pid for pid in processes.everyone() if _group_of(pid) == self._pid}
        return bool(self._group) and all(map(_all_stopped, self._group))

    def settle(self) -> None:
        """Nothing: the kernel swaps out what it needs by itself."""

    def thaw(self) -> None:
        """Let it run on. Never raises: it may have ended."""
        with contextlib.suppress(OSError):
            os.killpg(self._pid, signal.SIGCONT)

    def release(self) -> None:
        """Nothing is held."""


class SignalFreezer:
    """Works everywhere."""

    name = "signal"

    def hold(self, pid: int, folder: Path | None = None) -> Grip:
        """Take hold of a child."""
        return SignalGrip(pid)

    def close(self) -> None:
        """Nothing is left."""


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def _all_stopped(pid: int) -> bool:
    """Whether every thread has stopped; false where there is no ``/proc`` to tell."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        # The state follows the program's name in parentheses, which may itself hold ")".
        lines = [(thread / "stat").read_bytes().rpartition(b") ")[2] for thread in threads]
    except OSError:  # a thread has ended, or the process
        return Path("/proc/self").exists() and not Path(f"/proc/{pid}").exists()
    return all(line[:1] and line[0] in _AT_REST for line in lines)
