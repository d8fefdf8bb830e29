"""Bounds by control groups, version 2 or 1: a folder for each run of a child that is bounded.

To move a process takes the kernel ten milliseconds and more, and somebody may wait for it. What
takes none of them: in version 1 a process of one thread that moves itself, by ``tasks``; in version
2 one that is made inside (``CLONE_INTO_CGROUP``), or one that was moved before anybody came. The
folders of the next run are made in advance, with the bounds of the last one.
"""

import asyncio
import contextlib
import itertools
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from codestore.keeper.bounds import groups
from codestore.keeper.bounds.limiting import CPU, MEMORY, Bounds, Limiter, NoLimiter
from codestore.keeper.rundir import RunDir

_log = logging.getLogger(__name__)

PERIOD: Final = 100_000  # microseconds over which processor time is counted, as by default
REFILL: Final = 0.5  # seconds after which folders that were used are replaced
_LEAST: Final = 1000  # microseconds in a period: the kernel's minimum
_SHARES: Final = 1024  # what a process or a group weighs by default
_MOST_SHARES: Final = 262_144  # the kernel's maximum
_CLOSE: Final = 0.95  # share of the bound: memory is counted in batches
_HOST: Final = "out of memory (the host had none left)"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a version of control groups is spoken. Files are named with what is written to them.

    ``entry`` is the file by which a process enters. ``killed`` is where the kernel counts whom it
    has ended: a file, and the word before the number. ``most`` is where it keeps how many bytes
    were in use at most; ``met`` where it counts how often that would have been too many.
    """

    name: str
    entry: str
    memory: tuple[tuple[str, str], ...]
    cpu: tuple[tuple[str, str], ...]
    killed: tuple[str, str]
    met: tuple[str, str] = ("", "")
    most: tuple[str, str] = ("", "")

    def proof(self, kind: str) -> str:
        """Return the file that is there when this can be bounded."""
        return self.memory[0][0] if kind == MEMORY else self.cpu[0][0]


V2: Final = Dialect(
    name="cgroup v2",
    entry="cgroup.procs",
    memory=(("memory.max", "{bytes}"), ("memory.swap.max", "0"), ("memory.oom.group", "1")),
    cpu=(("cpu.max", "{quota} {period}"),),
    killed=("memory.events", "oom_kill"),
    met=("memory.events", "oom"),
)
V1: Final = Dialect(
    name="cgroup v1",
    entry="tasks",
    memory=(("memory.limit_in_bytes", "{bytes}"), ("memory.memsw.limit_in_bytes", "{bytes}")),
    cpu=(("cpu.cfs_quota_us", "{quota}"),),
    killed=("memory.oom_control", "oom_kill"),
    most=("memory.max_usage_in_bytes", ""),  # of its counters, some kernels leave all at zero
)


class GroupBounds:
    """Bounds of one run. ``folders`` are by what is bounded there; in version 2 all are the same.

    ``left`` takes those that were in use when they could go.
    """

    def __init__(self, dialect: Dialect, folders: Mapping[str, Path], left: set[Path]) -> None:
        self._dialect = dialect
        self._folders = folders
        self._each = tuple(dict.fromkeys(folders.values()))
        self._left = left
        self._told = 0
        self.memory: int | None = None
        self.cpu: float | None = None

    @property
    def enter(self) -> tuple[str, ...]:
        """The files to which a process of one thread writes ``0`` to be inside."""
        return tuple(str(folder / self._dialect.entry) for folder in self._each)

    @property
    def folder(self) -> Path | None:
        """The control group of version 2 that it runs in."""
        return self._each[0] if self._dialect is V2 else None

    def limit(self, memory: int | None, cpu: float | None) -> None:
        """Set what may be used: bytes, and cores. Never raises."""
        self.memory, self.cpu = memory, cpu
        if memory is not None and MEMORY in self._folders:
            self._write(self._folders[MEMORY], self._dialect.memory, {"bytes": memory})
        if cpu is not None and CPU in self._folders:
            quota = max(_LEAST, round(cpu * PERIOD))
            words = {"quota": quota, "period": PERIOD}
            self._write(self._folders[CPU], self._dialect.cpu, words)

    async def admit(self, pid: int) -> bool:
        """Move a process of one thread inside, unless it is; tell whether it is. Never raises."""
        try:
            if not self._holds(pid):
                await asyncio.get_running_loop().run_in_executor(None, self._move, pid)
        except OSError as failure:
            _log.warning("process %d is without bounds: %s", pid, failure)
            return False
        return True

    def shortage(self) -> str:
        """Return why the kernel has ended processes in it, if it has since this was asked last."""
        folder = self._folders.get(MEMORY)
        killed = _count(folder, self._dialect.killed) if folder else 0
        if folder is None or killed <= self._told:
            return ""
        self._told = killed
        met = _count(folder, self._dialect.met)
        most = _count(folder, self._dialect.most)
        if self.memory and (met or most > self.memory * _CLOSE):
            return f"out of memory (limit {self.memory / 2**20:g} MiB)"
        return _HOST

    def release(self) -> None:
        """Remove the folders; while somebody is in one still, that has to wait. Idempotent."""
        self._left.update(self._each)
        groups.remove_each(self._left)

    def _holds(self, pid: int) -> bool:
        """Whether it is inside all of them; one look is quicker than one at each."""
        where = groups.read(f"/proc/{pid}/cgroup")
        own = "/".join(self._each[0].parts[-2:])
        return where.count(f"/{own}\n") == len(self._each)

    def _move(self, pid: int) -> None:
        for folder in self._each:
            (folder / self._dialect.entry).write_text(str(pid))

    def _write(
        self, folder: Path, files: tuple[tuple[str, str], ...], words: Mapping[str, int]
    ) -> None:
        for place, (name, text) in enumerate(files):
            try:
                _put(f"{folder}/{name}", text.format(**words))
            except FileNotFoundError as failure:
                if not place:  # the others are not everywhere
                    _log.warning("a bound is not set: %s", failure)
            except OSError as failure:
                _log.warning("a bound is not set: %s: %s", folder / name, failure)


class GroupLimiter:
    """Has the folders ``roots``, by what can be bounded there; of version 2, below ``own``."""

    def __init__(
        self, dialect: Dialect, roots: Mapping[str, Path], own: Path | None = None
    ) -> None:
        self._dialect = dialect
        self._roots = roots
        self._own = own
        self._left: set[Path] = set()
        self._numbers = itertools.count(1)
        self._ready: GroupBounds | None = None
        self._refill: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """Which control groups."""
        return self._dialect.name

    @property
    def kinds(self) -> tuple[str, ...]:
        """What can be bounded."""
        return tuple(self._roots)

    def bounds(self, memory: int | None, cpu: float | None) -> Bounds | None:
        """Return bounds for a child that is about to be started. Never raises.

        To be called in an event loop.
        """
        made = None
        if self._ready and (self._ready.memory, self._ready.cpu) == (memory, cpu):
            made, self._ready = self._ready, None
        if self._refill is None:
            loop = asyncio.get_running_loop()
            self._refill = loop.call_later(REFILL, self._prepare, memory, cpu)
        return made or self._made(memory, cpu)

    def spare(self) -> Bounds | None:
        """Return bounds for a child of which nothing is known yet. Never raises."""
        return self._made(None, None)

    def _prepare(self, memory: int | None, cpu: float | None) -> None:
        self._refill = None
        if self._ready and (self._ready.memory, self._ready.cpu) != (memory, cpu):
            self._ready.release()
            self._ready = None
        groups.remove_each(self._left)
        self._ready = self._ready or self._made(memory, cpu)

    def _made(self, memory: int | None, cpu: float | None) -> GroupBounds | None:
        name = f"run-{next(self._numbers)}"
        folders = {kind: root / name for kind, root in self._roots.items()}
        made = GroupBounds(self._dialect, folders, self._left)
        try:
            for folder in dict.fromkeys(folders.values()):
                folder.mkdir()
        except OSError as failure:
            _log.warning("a child is started without bounds: %s", failure)
            made.release()
            return None
        made.limit(memory, cpu)
        self._weigh()
        return made

    def _weigh(self) -> None:
        """Let all of them together weigh as much as they would side by side, one by one.

        In version 1 every process outside weighs as much as a whole group by default, so many
        instances would get the share of one. In version 2 whoever started the platform says.
        """
        root = self._roots.get(CPU)
        if root is None or self._dialect is not V1:
            return
        count = sum(entry.name.startswith("run-") for entry in os.scandir(root))
        with contextlib.suppress(OSError):  # then they weigh less; they run all the same
            _put(f"{root}/cpu.shares", str(min(_MOST_SHARES, _SHARES * count)))

    def close(self) -> None:
        """Remove the folders; every child has ended."""
        if self._refill:
            self._refill.cancel()
        for root in dict.fromkeys(self._roots.values()):
            groups.remove(root)
            if self._own:
                groups.take_back(self._own, root, self._roots)
                groups.remove(root)


def pick_limiter(run: RunDir) -> Limiter:
    """Return the best limiter that works here. Call it when leftovers of ``run`` were swept."""
    return _by_version_2(run) or _by_version_1(run) or NoLimiter()


def _by_version_1(run: RunDir) -> Limiter | None:
    roots = {}
    for kind in (MEMORY, CPU):
        own = groups.own_group(kind)
        with contextlib.suppress(OSError):  # not ours to write
            if own is not None:
                root = groups.make_root(own)
                if (root / V1.proof(kind)).exists():
                    roots[kind] = root
                else:
                    groups.remove(root)
    return GroupLimiter(V1, roots) if roots else None


def _by_version_2(run: RunDir) -> Limiter | None:
    own = groups.own_group()
    if own is None:
        return None
    try:
        offered = (own / "cgroup.controllers").read_text().split()
        wanted = [kind for kind in (MEMORY, CPU) if kind in offered]
        if not wanted:
            return None
        root = groups.make_root(own)
        groups.hand_down(own, root, wanted)
    except OSError as refused:
        _log.debug("%s: nothing is bounded by version 2: %s", run.root, refused)
        return None
    return GroupLimiter(V2, dict.fromkeys(wanted, root), own)


def _put(file: str, text: str) -> None:
    """Write to a file that is there; where it is not, none is made."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _count(folder: Path, at: tuple[str, str]) -> int:
    """Return the number behind a word on a line of a file; 0 if there is none."""
    name, word = at
    with contextlib.suppress(OSError, ValueError):
        for line in groups.read(f"{folder}/{name}").splitlines():
            before, _, number = line.rpartition(" ")
            if before == word:
                return int(number)
    return 0
