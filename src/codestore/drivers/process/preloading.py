"""Parents: processes that have a version's libraries loaded, to be forked when it is started.

One for each deployment and revision, because whom it forks is behind the walls that it is behind.
It is made from the list of libraries that one of the instances wrote down: when the deployment that
sleeps has no process left, or soon after the first instance of one that scales is ready. It ends
when it was not needed for long, or with its revision.
"""

import contextlib
import time
from collections.abc import Collection

import structlog

from codestore.domain.instances import Workload
from codestore.drivers.process.child import ended
from codestore.drivers.process.children import Children
from codestore.drivers.process.launching import (
    FINAL_GRACE,
    on_port,
    preload_spec,
)
from codestore.drivers.process.places import Host, imports_file
from codestore.keeper.errors import KeeperError

KEPT = 3600.0  # seconds for which a parent is kept that nobody needs
MOST = 16  # parents at a time; the one that was needed longest ago makes room
UNFIT = "exit code 3"  # of a parent whose libraries start threads or connect
log = structlog.get_logger(__name__)


class Parents:
    """The parents of this host; ``unfit`` are versions whose libraries cannot be forked."""

    def __init__(self, children: Children, host: Host) -> None:
        self._children = children
        self._host = host
        self._needed: dict[str, float] = {}
        self._followed: dict[str, Workload] = {}
        self._unfit: set[str] = set()
        self._lists: dict[str, int] = {}
        self._digests: dict[str, str] = {}

    def needed(self, workload: Workload) -> str | None:
        """Return the parent that an instance is forked from if there is one by then.

        ``None`` where there cannot be one: a command, or a service that opted out.
        """
        if on_port(workload) or not workload.preload or not workload.artifact.runtime:
            return None
        if workload.artifact.digest in self._unfit:
            return None
        name = _name(workload.deployment, workload.revision)
        if self._children.get(name) is not None:
            self._needed[name] = time.monotonic()
        return name

    async def provide(self, workload: Workload) -> bool:
        """Begin to make the parent of a version, unless there is one; tell whether that was done.

        Never raises: without one, an instance is started plainly. So it is, too, where libraries
        start threads or connect when they are imported: the parent has ended then, and its log
        says why.
        """
        name = self.needed(workload)
        imports = imports_file(self._host, workload.deployment, workload.revision)
        await self._bury()
        if name is None or not imports.is_file():
            return False
        self._digests[name] = workload.artifact.digest
        size = imports.stat().st_size
        if self._children.get(name) is not None:
            if self._lists.setdefault(name, size) >= size:
                return False
            await self._end(name)  # an instance has loaded more since
        if workload.artifact.digest in self._unfit:
            return False
        self._lists[name] = size
        try:
            await self._children.spawn(preload_spec(self._host, workload, name))
        except (KeeperError, OSError) as error:
            log.warning("cannot preload", parent=name, error=str(error))
        self._needed[name] = time.monotonic()
        return True

    def follow(self, workload: Workload) -> None:
        """Keep a parent at hand while a deployment that scales runs this version."""
        if workload.scales and self.needed(workload) is not None:
            self._followed[workload.deployment] = workload

    async def keep(self, most: int = MOST) -> None:
        """Make a missing parent of a version that is followed; to be called now and then.

        Not at once when an instance is ready: a rollout has better things to do. One at a time,
        and none makes room for another, which would go round in circles.
        """
        running = {(held.label.deployment, held.label.revision) for held in self._children.all()}
        there = {held.name for held in self._children.preloads() if held.ending is None}
        for deployment, workload in list(self._followed.items()):
            if (deployment, workload.revision) not in running:
                del self._followed[deployment]
            elif self.needed(workload) in there or len(there) >= most:
                continue
            elif await self.provide(workload):
                return

    async def release(self) -> None:
        """End them all: the host is short of memory. Nobody is followed any more."""
        self._followed.clear()
        await self.collect(most=0)

    async def collect(self, kept: float = KEPT, most: int = MOST) -> None:
        """End the parents that nobody needed for ``kept`` seconds, and those beyond ``most``."""
        await self._bury()
        now = time.monotonic()
        running = {held.name for held in self._children.preloads() if held.ending is None}
        for name in running:
            self._needed.setdefault(name, now)  # made before this process was started
        by_need = sorted(running, key=lambda name: self._needed[name], reverse=True)
        for place, name in enumerate(by_need):
            if place >= most or now - self._needed[name] >= kept:
                await self._end(name)

    async def drop(self, deployment: str, keep: Collection[int] = ()) -> None:
        """End the parents of a deployment, but for those of some revisions."""
        kept = {_name(deployment, revision) for revision in keep}
        for held in self._children.preloads():
            if held.name.startswith(f"{_name(deployment)}.") and held.name not in kept:
                await self._end(held.name)

    async def _bury(self) -> None:
        """Forget those that have ended; remember of those that cannot be forked that it is so."""
        for held in self._children.preloads():
            if held.ending is not None:
                if held.ending == UNFIT:
                    self._unfit.add(self._digests.get(held.name, held.name))
                with contextlib.suppress(KeeperError):
                    await self._children.forget(held.name)

    async def _end(self, name: str) -> None:
        self._needed.pop(name, None)
        self._lists.pop(name, None)
        self._digests.pop(name, None)
        with contextlib.suppress(KeeperError, TimeoutError):
            await self._children.client.stop(name, FINAL_GRACE)
            await self._children.until(name, ended, 2 * FINAL_GRACE)
            await self._children.forget(name)


def _name(deployment: str, revision: int | None = None) -> str:
    """Return the name of a parent, or how those of a deployment begin."""
    return f"preload.{deployment}" if revision is None else f"preload.{deployment}.{revision}"
