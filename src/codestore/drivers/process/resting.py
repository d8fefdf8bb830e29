"""The door ``Standby`` on this host: the keeper freezes, holds the sockets, and wakes."""

import asyncio
import contextlib
import itertools
from collections.abc import Mapping

import psutil
import structlog

from codestore.domain.faults import Letter, failed
from codestore.domain.instances import Workload
from codestore.drivers.process.asking import ask, refused
from codestore.drivers.process.child import Child, ended, farewell
from codestore.drivers.process.children import NEWS, Children
from codestore.drivers.process.disk import Disk
from codestore.drivers.process.launching import (
    on_port,
    service_label,
    waking_spec,
)
from codestore.drivers.process.naming import Phase, held_socket, instance_name
from codestore.drivers.process.places import Host
from codestore.drivers.process.preloading import Parents
from codestore.drivers.process.refusing import answer_503
from codestore.drivers.process.rounds import Rounds
from codestore.keeper.errors import AWAKE, KeeperError

log = structlog.get_logger(__name__)
REVISION, VERSION = "revision", "version"  # in the label of a watch: what the next caller starts
FAREWELLS = 1.5  # seconds in which connections that nobody uses any more are closed
BETWEEN = 0.1  # seconds between two tries to freeze
SHORT = 0.08  # share of the host's memory below which it is short
ONE_LOOK = 5.0  # seconds between two looks at the memory, and for parents that are missing
SOON = 1.0  # seconds until the next parent is made where one was missing
TIDYING = 12  # looks between two collections of parents


class ProcessStandby:
    """Standby of processes under the keeper."""

    def __init__(self, children: Children, host: Host, rounds: Rounds, disk: Disk) -> None:
        self._children = children
        self._host = host
        self._rounds = rounds
        self._disk = disk
        self.parents = Parents(children, host, disk.full)

    async def hold(self, deployment: str, instance: str) -> None:
        """Hold the socket at which callers of a port can wait, and hand them on."""
        socket = held_socket(deployment)
        await ask(self._children.listen(socket))
        await ask(self._children.client.forward(socket, instance))

    async def freeze(self, deployment: str, instance: str, queue: int) -> bool:
        """Freeze it unless somebody is connected; the next caller at its socket thaws it.

        A question whether it is well keeps nobody awake: it is not asked then.
        """
        child = self._children.get(instance)
        if child is None or child.ending is not None:
            return True  # there is nobody to be frozen
        socket = held_socket(deployment) if child.port else deployment
        async with self._rounds.left_alone(instance) as just_asked:
            patience = FAREWELLS if child.port or just_asked else 0.0
            return await self._freeze(instance, socket, queue, patience)

    async def _freeze(self, instance: str, socket: str, queue: int, patience: float) -> bool:
        """Try for so many seconds; connections may be about to end."""
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        try:
            while not await self._children.client.freeze(instance, socket, queue):
                if loop.time() >= until:
                    return False
                await asyncio.sleep(BETWEEN)
            await self._children.until(instance, _frozen_or_gone, NEWS)
        except TimeoutError:
            return True  # thawed again before it was told here
        except KeeperError as error:
            if error.code not in ("not-found", "not-running"):
                raise refused(error) from error
        return True

    async def thaw(self, deployment: str, instance: str) -> None:
        """Let it go on."""
        await ask(self._children.client.thaw(instance))

    async def stop_frozen(self, workload: Workload, instance: str) -> None:
        """End it if it is frozen still, and forget it with its socket; make a parent."""
        child = self._children.get(instance)
        if child is None:
            return
        grace = farewell(child)
        try:
            await self._children.client.stop(instance, grace, frozen=True)
        except KeeperError as error:
            if error.code == AWAKE:
                return
            if error.code not in ("not-found", "not-running"):
                raise refused(error) from error
        await self._children.until_ended(instance, grace)
        await ask(self._children.close_socket(instance))
        await ask(self._children.forget(instance))
        if not self._children.pressed:  # what is stopped to gain memory shall not cost some
            await self.parents.provide(workload)  # it has written down what it had loaded

    async def arm(self, workload: Workload, queue: int) -> None:
        """Have the next caller start an instance, forked from a parent where there is one."""
        deployment = workload.deployment
        version = workload.artifact.digest
        if excess := await self._disk.excess(workload):
            raise failed("disk_limit", "It cannot be woken", f"{excess[0].upper()}{excess[1:]}.")
        name = instance_name(deployment, workload.revision, 0)
        port = on_port(workload)
        phase = Phase.SERVING if port else Phase.STARTING
        label = service_label(workload, 0, phase)
        socket = held_socket(deployment) if port else deployment
        spec = waking_spec(self._host, workload, name, label, self.parents.needed(workload))
        try:
            await self._children.listen(socket, queue)
            wakes = {REVISION: str(workload.revision), VERSION: version}
            await self._children.watch(socket, spec, wakes)
        except KeeperError as error:
            raise refused(error) from error

    async def disarm(self, deployment: str) -> None:
        """Have callers start nothing any more."""
        for socket in (deployment, held_socket(deployment)):
            if REVISION in (self._children.watch_on(socket) or {}):
                await ask(self._children.unwatch(socket))

    async def refuse(self, deployment: str, letter: Letter) -> int:
        """Answer everybody who waits."""
        count = 0
        for socket in (deployment, held_socket(deployment)):
            if self._children.socket(socket) is not None:
                with contextlib.suppress(KeeperError):
                    count += await self._children.client.refuse(socket, answer_503(letter))
        return count

    def armed(self, deployment: str) -> int | None:
        """Return the revision that the next caller starts."""
        revision = self._wakes(deployment).get(REVISION)
        return None if revision is None else int(revision)

    def armed_version(self, deployment: str) -> str | None:
        """Return the digest of the version that the next caller starts."""
        return self._wakes(deployment).get(VERSION)

    def _wakes(self, deployment: str) -> Mapping[str, str]:
        """Return the label of whichever watch would start something."""
        for socket in (deployment, held_socket(deployment)):
            label = self._children.watch_on(socket) or {}
            if REVISION in label:
                return label
        return {}

    async def look_after(self) -> None:
        """Watch the host's memory and collect parents, until cancelled."""
        missing = False
        for look in itertools.count(1):
            await asyncio.sleep(SOON if missing else ONE_LOOK)
            missing = False
            try:
                memory = psutil.virtual_memory()
                self._children.press(memory.available < memory.total * SHORT)
                if self._children.pressed:
                    await self.parents.release()
                    continue
                missing = await self.parents.keep()
                if look % TIDYING == 0:
                    await self.parents.collect()
            except Exception:
                log.exception("could not look after the host")


def _frozen_or_gone(child: Child | None) -> bool:
    return ended(child) or bool(child and child.frozen_at)
