"""Parents: processes that have a version's libraries loaded, to be forked when it is started.

One for each deployment and version, because whom it forks is behind the walls that it is behind.
It is made from the list of libraries that one of the instances wrote down: when the deployment that
sleeps has no process left, or when one that scales was not started for a few seconds. It ends
when it was not needed for long, or with its version; where it scales, the version before keeps its
own one for so long, so that a way back is quick.
"""

import contextlib
import hashlib
import time
from collections.abc import Callable, Collection

import structlog

from codestore.domain.instances import Workload
from codestore.drivers.process.child import Child, ended
from codestore.drivers.process.children import Children
from codestore.drivers.process.launching import (
    FINAL_GRACE,
    on_port,
    preload_spec,
)
from codestore.drivers.process.naming import parent_name, parent_of
from codestore.drivers.process.places import SHORT, Host, imports_file
from codestore.keeper.errors import KeeperError

KEPT = 3600.0  # seconds for which a parent is kept that nobody needs
CALM = 5.0  # seconds after the last start of a deployment that scales until its parent is made
MOST = 16  # parents at a time; the one that was needed longest ago makes room
UNFIT = "exit code 3"  # of a parent whose libraries start threads or connect
log = structlog.get_logger(__name__)


class Parents:
    """The parents of this host; ``unfit`` are versions whose libraries cannot be forked."""

    def __init__(self, children: Children, host: Host, full: Callable[[str], bool]) -> None:
        """``full`` tells of deployments that have no room for anything that runs."""
        self._children = children
        self._host = host
        self._full = full
        self._needed: dict[str, float] = {}
        self._followed: dict[str, tuple[Workload, float]] = {}  # with when it was last started
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
        name = _name(workload)
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
        imports = imports_file(self._host, workload.deployment, workload.artifact.digest)
        await self._bury()
        if name is None or not imports.is_file():
            return False
        self._digests[name] = workload.artifact.digest
        size = imports.stat().st_size
        if self._children.get(name) is not None:
            if self._lists.setdefault(name, size) >= size:
                return False
            await self._end(name)  # an instance has loaded more since
        if workload.artifact.digest in self._unfit or self._full(workload.deployment):
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
            self._followed.pop(workload.deployment, None)
            self._followed[workload.deployment] = workload, time.monotonic()

    async def keep(self, most: int = MOST, calm: float = CALM) -> bool:
        """Make a missing parent of a version that is followed; tell whether one was missing.

        To be called now and then. Not within ``calm`` seconds of a start: a rollout has better
        things to do, and the next one may come. One at a time, of what was started last first: that
        is what is gone back from. Those of versions that were left make room; among those that are
        followed none does so for another, which would go round in circles.
        """
        running = {(held.label.deployment, held.label.version) for held in self._children.all()}
        followed = {}
        for deployment, (workload, started) in reversed(self._followed.copy().items()):
            if (deployment, workload.artifact.digest) in running:
                followed[self.needed(workload)] = workload, started + calm
            else:
                del self._followed[deployment]
        there, now = self._there(), time.monotonic()
        for name, (workload, due) in followed.items():
            if name in there or now < due:
                continue
            left = [other for other in there if other not in followed]
            if len(there) >= most and not left:
                return False
            if await self.provide(workload):
                await self.collect(most=most)
                return True
        return False

    async def release(self) -> None:
        """End them all: the host is short of memory. Nobody is followed any more."""
        self._followed.clear()
        await self.collect(most=0)

    async def collect(self, kept: float = KEPT, most: int = MOST) -> None:
        """End the parents that nobody needed for ``kept`` seconds, and those beyond ``most``."""
        await self._bury()
        now = time.monotonic()
        running = self._there()
        for name in running:
            self._needed.setdefault(name, now)  # made before this process was started
        by_need = sorted(running, key=lambda name: self._needed[name], reverse=True)
        for place, name in enumerate(by_need):
            if place >= most or now - self._needed[name] >= kept:
                await self._end(name)

    async def tidy(self, deployment: str, used: Collection[str]) -> set[str]:
        """End the parents of versions that are not used; return the versions that have one still.

        Where it scales, the one that was needed last may stay: for a way back.
        """
        own = {held.name: held.label.version for held in self._of(deployment) if not held.ending}
        left = sorted(
            (name for name, version in own.items() if version not in used),
            key=lambda name: self._needed.get(name, 0.0),
        )
        for name in left[:-1] if deployment in self._followed else left:
            await self._end(name)
            del own[name]
        return set(own.values())

    async def drop(self, deployment: str) -> None:
        """End the parents of a deployment."""
        for held in self._of(deployment):
            await self._end(held.name)

    def _of(self, deployment: str) -> list[Child]:
        return [held for held in self._children.preloads() if parent_of(held.name) == deployment]

    def _there(self) -> set[str]:
        return {held.name for held in self._children.preloads() if held.ending is None}

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


def _name(workload: Workload) -> str:
    """Return the name of a version's parent, in the environment that the version runs in.

    Another release of the platform brings other environments: its instances need other parents.
    """
    artifact = workload.artifact
    runtime = hashlib.sha256((artifact.runtime or "").encode()).hexdigest()[:8]
    return parent_name(workload.deployment, f"{artifact.digest[:SHORT]}.{runtime}")
