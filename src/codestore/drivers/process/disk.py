"""Watching what deployments write: who takes more of the disk than it may is ended.

Each that runs is looked at now and then, and all of them at once when the disk has lost much since
the last time: a look at the free space costs nothing. Whoever was ended is not started before there
is room. What is temporary is deleted for that; the rest is for whoever wrote it to decide.
"""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import structlog

from codestore.domain.environments import MEBIBYTE
from codestore.domain.instances import Workload
from codestore.drivers.process.child import Child
from codestore.drivers.process.children import Children
from codestore.drivers.process.naming import PRELOAD, TASK, parent_of
from codestore.drivers.process.places import Host, own_folders, temporary_folder
from codestore.drivers.process.usage import Usage, cell_of, cells, measure
from codestore.keeper.errors import KeeperError

EVERY: Final = 10.0
"""Seconds from one look at a deployment to the next."""
PULSE: Final = 0.25
"""Seconds between two looks at the free space."""
LOSS: Final = 64 * MEBIBYTE
"""Bytes that the disk may lose before all are looked at."""
LOSS_OF_FILES: Final = 20_000
"""Files and folders that were made, the same."""
_SHARE: Final = 4  # a pause is so many times as long as the look before it
_SLACK: Final = 64 * MEBIBYTE  # bytes by which a task may add to what was too much before
_CAUSE: Final = "disk limit: {}; a migration of the next version can delete some"
log = structlog.get_logger(__name__)


class Disk:
    """What deployments have written."""

    def __init__(self, children: Children, host: Host) -> None:
        self._children = children
        self._host = host
        self._looked: dict[str, float] = {}
        self._full: set[str] = set()
        self._found: dict[str, int] = {}  # by task: what was there when it began
        self._free = (0, 0)

    def full(self, deployment: str) -> bool:
        """Whether it was ended for what it wrote, and has had no room since."""
        return deployment in self._full

    async def excess(self, workload: Workload) -> str:
        """Return why a deployment that was ended may not be started, unless there is room now."""
        deployment, most = workload.deployment, workload.resources.disk
        if deployment not in self._full or most is None:
            return ""
        if not any(child.ending is None for child in self._children.of(deployment)):
            await asyncio.to_thread(_empty, temporary_folder(self._host, deployment))
        folders = own_folders(self._host, deployment)
        usage = await asyncio.to_thread(measure, folders, most)
        excess = usage.excess(most)
        if not excess:
            self._full.discard(deployment)
        return _CAUSE.format(excess) if excess else ""

    def forget(self, deployment: str) -> None:
        """Know nothing more of a deployment, which is removed."""
        self._full.discard(deployment)

    async def watch(self) -> None:
        """Look after everybody, until cancelled."""
        pause = PULSE
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            try:
                await self._look()
            except Exception:
                log.exception("could not look at what is written")
            pause = max(PULSE, _SHARE * (time.monotonic() - began))

    async def _look(self) -> None:
        running = self._running()
        now = time.monotonic()
        hurry = bool(running) and await self._shrinks()
        self._looked = {each: at for each, at in self._looked.items() if each in running}
        self._found = {name: size for name, size in self._found.items() if self._children.get(name)}
        due = [
            each
            for each in running
            if hurry or each in self._full or now >= self._looked.get(each, -EVERY) + EVERY
        ]
        if not due:
            return
        inhabitants = await asyncio.to_thread(cells)
        for deployment in due:
            self._looked[deployment] = now
            await self._look_at(deployment, running[deployment], inhabitants)

    async def _shrinks(self) -> bool:
        """Whether the disk has lost much since this was last so."""
        free, before = await asyncio.to_thread(_free, self._host.work), self._free
        shrinks = free[0] < before[0] - LOSS or free[1] < before[1] - LOSS_OF_FILES
        self._free = free if shrinks else (max(free[0], before[0]), max(free[1], before[1]))
        return shrinks

    async def _look_at(
        self, deployment: str, children: list[Child], inhabitants: dict[str, list[int]]
    ) -> None:
        most = max((c.label.disk for c in children if c.label.disk is not None), default=None)
        if most is None:
            return
        folders = own_folders(self._host, deployment)
        pids = await asyncio.to_thread(_everybody, children, inhabitants)
        tasks = [child for child in children if child.label.kind == TASK]
        ceiling = sys.maxsize if tasks else most  # counted on, to tell whether a task adds to it
        usage = await asyncio.to_thread(measure, folders, ceiling, pids)
        if not (excess := usage.excess(most)):
            return
        for child in children:
            if child.label.kind == TASK and self._cleans(child, usage, most):
                continue
            await self._end(child, excess)
        if len(tasks) < len(children):
            self._full.add(deployment)

    def _cleans(self, task: Child, usage: Usage, most: int) -> bool:
        """Whether it may be about to make room: it has added little to what it found."""
        found = self._found.setdefault(task.name, max(usage.size, most))
        return not usage.hidden and usage.size <= found + _SLACK

    async def _end(self, child: Child, excess: str) -> None:
        log.warning("disk limit", child=child.name, excess=excess)
        try:
            await self._children.client.signal(child.name, "SIGKILL", cause=_CAUSE.format(excess))
        except KeeperError as error:
            log.info("it has ended before", child=child.name, error=str(error))

    def _running(self) -> dict[str, list[Child]]:
        """Return who could write now, by deployment; parents are their deployments'."""
        running: dict[str, list[Child]] = {}
        for child in self._children.all():
            if child.ending is None and not child.frozen_at:
                label = child.label
                deployment = parent_of(child.name) if label.kind == PRELOAD else label.deployment
                running.setdefault(deployment, []).append(child)
        return running


def _everybody(children: Iterable[Child], inhabitants: dict[str, list[int]]) -> set[int]:
    """Return the processes of children, and whoever is in their cells; there may be none."""
    found = {child.pid for child in children}
    for pid in tuple(found):
        try:
            inside = cell_of(pid)
        except OSError:
            continue
        if inside != cell_of(os.getpid()):
            found.update(inhabitants.get(inside, ()))
    return found


def _free(place: Path) -> tuple[int, int]:
    """Return how many bytes, and how many files, there is room for."""
    try:
        disk = os.statvfs(place)
    except FileNotFoundError:  # nothing has been started yet
        return 0, 0
    return disk.f_bavail * disk.f_frsize, disk.f_favail


def _empty(folder: Path) -> None:
    """Delete what is in a folder. Nobody who could write there runs."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
