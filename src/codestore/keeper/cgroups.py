"""Freezing by control groups (version 2): whole subtrees at once, and their memory given back.

Each keeper makes one folder below its own group, and in it one for each child. Where anything of
this is not allowed, signals do the work.
"""

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from codestore.keeper import processes
from codestore.keeper.freezing import Freezer, Grip, SignalFreezer, SignalGrip
from codestore.keeper.rundir import RunDir

_log = logging.getLogger(__name__)

_PREFIX: Final = "codestore-"
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
            _remove_each(self._left)


class CgroupFreezer:
    """Has the folder ``root``; those below it that are ``left`` were in use when they could go."""

    name = "cgroup"

    def __init__(self, root: Path) -> None:
        self._root = root
        self._left: set[Path] = set()

    def hold(self, pid: int) -> Grip:
        """Take hold of a child."""
        _remove_each(self._left)
        return CgroupGrip(pid, self._root / str(pid), self._left)

    def close(self) -> None:
        """Remove the folders; every child has ended."""
        _remove(self._root)


def pick_freezer(run: RunDir) -> Freezer:
    """Return the best freezer that works here. Call it when leftovers of ``run`` were swept."""
    try:
        own = own_group()
        if own is None:
            return SignalFreezer()
        _clear(own)
        root = own / f"{_PREFIX}{os.getpid()}"
        root.mkdir(exist_ok=True)
        if not (root / "cgroup.freeze").exists():
            root.rmdir()
            return SignalFreezer()
    except OSError as refused:
        _log.debug("%s: children are frozen by signals: %s", run.root, refused)
        return SignalFreezer()
    for each in (own, root):  # for memory.reclaim in the children's folders
        with contextlib.suppress(OSError):
            (each / "cgroup.subtree_control").write_text("+memory")
    return CgroupFreezer(root)


def own_group() -> Path | None:
    """Return the folder of our own control group, or ``None`` where there is no version 2."""
    own = next((line[3:] for line in _lines("/proc/self/cgroup") if line.startswith("0::")), None)
    for line in _lines("/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        if own is not None and after.startswith("cgroup2 "):
            top, mounted = (_unescaped(each) for each in before.split()[3:5])
            inside = Path(own).relative_to(top) if Path(own).is_relative_to(top) else Path()
            return Path(mounted) / inside
    return None


def _lines(path: str) -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield from Path(path).read_text().splitlines()


def _unescaped(text: str) -> str:
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def _enter(folder: Path, pid: int) -> None:
    """Move a process and the rest of its session. Whoever one of them forks later is in already."""
    folder.mkdir(exist_ok=True)
    group = folder / "cgroup.procs"
    group.write_text(str(pid))
    for _ in range(_ROUNDS):
        inside = set(group.read_text().split())
        session = [each for each in processes.everyone() if processes.session_of(each) == pid]
        outside = [each for each in session if str(each) not in inside]
        if not outside:
            return
        for each in outside:
            with contextlib.suppress(ProcessLookupError):
                group.write_text(str(each))


def _clear(own: Path) -> None:
    """End what is left of keepers that have gone, and remove their folders."""
    for folder in own.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX)
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            _kill(folder)
            _remove(folder)


def _kill(folder: Path, patience: float = 1.0) -> None:
    """End whoever is left in a group and below it, also who has left its session."""
    until = time.monotonic() + patience
    with contextlib.suppress(OSError):  # an older kernel has no such file
        (folder / "cgroup.kill").write_text("1")
        while "populated 1" in (folder / "cgroup.events").read_text():
            if time.monotonic() > until:
                return
            time.sleep(0.005)


def _remove_each(folders: set[Path]) -> None:
    for folder in tuple(folders):
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:  # somebody is in it still
            continue
        folders.discard(folder)


def _remove(root: Path) -> None:
    with contextlib.suppress(OSError):
        for folder in root.iterdir():
            if folder.is_dir():
                with contextlib.suppress(OSError):
                    folder.rmdir()
    with contextlib.suppress(OSError):
        root.rmdir()


def _reclaim(file: Path, thawed: threading.Event) -> None:
    with contextlib.suppress(OSError):  # EAGAIN: nothing more can be reclaimed
        while not thawed.is_set():
            file.write_text(_RECLAIM)
