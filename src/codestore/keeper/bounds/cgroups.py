"""Freezing by control groups (version 2): whole subtrees at once, and their memory given back.

Each child is frozen in a folder of its own. Where anything of this is not allowed, signals do the
work.
"""

import asyncio
import contextlib
import logging
import os
import signal
import threading
from pathlib import Path
from typing import Final

from codestore.keeper import processes
from codestore.keeper.bounds import groups
from codestore.keeper.bounds.freezing import Freezer, Grip, SignalFreezer, SignalGrip
from codestore.keeper.rundir import RunDir

_log = logging.getLogger(__name__)

_ROUNDS: Final = 20  # in each, somebody could fork once more
_RECLAIM: Final = str(16 * 1024 * 1024)  # bytes at a time, so that a thaw need not wait for more


class CgroupGrip:
    """One child, in a folder of its own from its first freeze on.

    Not from its start: the kernel may take ten milliseconds for the move, and somebody may wait.
    """

    def __init__(self, pid: int, folder: Path, left: set[Path]) -> None:
        self._pid = pid
        self._folder = folder
        self._left = left
        self._entered = False
        self._signals: SignalGrip | None = None
        self._thawed = threading.Event()

    async def prepare(self) -> None:
        """Move it and its session into the folder; where that is refused, signals will do."""
        if self._entered or self._signals:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(None, _enter, self._folder, self._pid)
            self._entered = True
        except OSError as failure:
            _log.warning("process %d is frozen by signals: %s", self._pid, failure)
            self._signals = SignalGrip(self._pid)

    def freeze(self) -> None:
        """Begin to freeze it. Raises ``OSError``."""
        if self._signals:
            self._signals.freeze()
        else:
            (self._folder / "cgroup.freeze").write_text("1")

    def frozen(self) -> bool:
        """Tell whether none of it runs any more."""
        if self._signals:
            return self._signals.frozen()
        try:
            return "frozen 1" in (self._folder / "cgroup.events").read_text()
        except OSError:
            return False

    def settle(self) -> None:
        """Have its memory reclaimed by a thread: the kernel takes its time."""
        if not (self._folder / "memory.reclaim").exists():
            return
        self._thawed = threading.Event()
        given = (self._folder / "memory.reclaim", self._thawed)
        threading.Thread(target=_reclaim, args=given, name="reclaim", daemon=True).start()

    def thaw(self) -> None:
        """Let it run on, with the SIGCONT by which a process learns that it was frozen.

        The signal first: it is to be the first thing that the process meets.
        """
        self._thawed.set()
        with contextlib.suppress(OSError):
            os.killpg(self._pid, signal.SIGCONT)
        if self._entered:
            with contextlib.suppress(OSError):
                (self._folder / "cgroup.freeze").write_text("0")

    def release(self) -> None:
        """Remove the folder; while one of its processes still ends, that has to wait."""
        self._thawed.set()
        if self._entered or self._signals:
            with contextlib.suppress(OSError):  # who has left its session could be in it, frozen
                (self._folder / "cgroup.freeze").write_text("0")
            self._left.add(self._folder)
            groups.remove_each(self._left)


class CgroupFreezer:
    """Has the folder ``root``; those below it that are ``left`` were in use when they could go."""

    name = "cgroup"

    def __init__(self, root: Path) -> None:
        self._root = root
        self._left: set[Path] = set()

    def hold(self, pid: int, folder: Path | None = None) -> Grip:
        """Take hold of a child, which may be in a folder of its own already."""
        groups.remove_each(self._left)
        return CgroupGrip(pid, folder or self._root / str(pid), self._left)

    def close(self) -> None:
        """Remove the folders; every child has ended."""
        groups.remove(self._root)


def pick_freezer(run: RunDir) -> Freezer:
    """Return the best freezer that works here. Call it when leftovers of ``run`` were swept."""
    try:
        own = groups.own_group()
        if own is None:
            return SignalFreezer()
        root = groups.make_root(own)
        if not (root / "cgroup.freeze").exists():
            groups.remove(root)
            return SignalFreezer()
    except OSError as refused:
        _log.debug("%s: children are frozen by signals: %s", run.root, refused)
        return SignalFreezer()
    for each in (own, root):  # for memory.reclaim in the children's folders
        with contextlib.suppress(OSError):
            (each / "cgroup.subtree_control").write_text("+memory")
    return CgroupFreezer(root)


def _enter(folder: Path, pid: int) -> None:
    """Move a process and the rest of its session. Whoever one of them forks later is in already."""
    folder.mkdir(exist_ok=True)
    group = folder / "cgroup.procs"
    group.write_text(str(pid))
    for _ in range(_ROUNDS):
        inside = groups.members(folder)
        session = [each for each in processes.everyone() if processes.session_of(each) == pid]
        outside = [each for each in session if each not in inside]
        if not outside:
            return
        for each in outside:
            with contextlib.suppress(ProcessLookupError):
                group.write_text(str(each))


def _reclaim(file: Path, thawed: threading.Event) -> None:
    with contextlib.suppress(OSError):  # EAGAIN: nothing more can be reclaimed
        while not thawed.is_set():
            file.write_text(_RECLAIM)
