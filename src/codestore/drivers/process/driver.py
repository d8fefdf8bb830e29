"""The door ``Driver`` on this host."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from codestore.domain.faults import unavailable
from codestore.domain.instances import Instance, InstanceState, View, Workload
from codestore.domain.manifest import Health
from codestore.domain.routing import Endpoint
from codestore.drivers.process import probing
from codestore.drivers.process.asking import ask, refused
from codestore.drivers.process.child import Child, ended, farewell
from codestore.drivers.process.children import Children
from codestore.drivers.process.disk import Disk
from codestore.drivers.process.instances import instance_of, is_ready, port_of, state_of, where
from codestore.drivers.process.launching import (
    FINAL_GRACE,
    on_port,
    service_label,
    service_spec,
)
from codestore.drivers.process.naming import SERVICE, Phase, held_socket, instance_name
from codestore.drivers.process.places import Host, clear_imports, remove_folders
from codestore.drivers.process.resting import ProcessStandby
from codestore.drivers.process.rounds import EVERY, Rounds
from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol.client import KeeperClient

ADMISSION = 10.0  # seconds an instance has to say that it accepts
_AT_PORT = (InstanceState.SERVING, InstanceState.DRAINING)


class ProcessDriver:
    """Instances as processes under the keeper. Open it with ``async with``.

    Each that serves, or is a canary, is asked ``every`` so many seconds whether it is well.
    """

    def __init__(
        self, client: KeeperClient, keeper: Path, host: Host, every: float = EVERY
    ) -> None:
        self._changed: asyncio.Queue[str] = asyncio.Queue()
        self.children = Children(client, self._changed.put_nowait, self._noted)
        self.rounds = Rounds(self.children, self._changed.put_nowait, every)
        self._keeper = keeper
        self._host = host
        self.disk = Disk(self.children, host)
        self.standby = ProcessStandby(self.children, host, self.rounds, self.disk)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "ProcessDriver":
        loaded = asyncio.Event()
        self._tasks.append(asyncio.create_task(self.children.follow(self._keeper, loaded)))
        await loaded.wait()
        for child in filter(is_ready, self.children.all()):  # the one before had these proved
            self.rounds.follow(child.name)
        self._tasks.append(asyncio.create_task(self.standby.look_after()))
        self._tasks.append(asyncio.create_task(self.rounds.go()))
        self._tasks.append(asyncio.create_task(self.disk.watch()))
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def observe(self, deployment: str) -> View:
        """Tell what the keeper holds for a deployment."""
        children = [c for c in self.children.of(deployment) if c.label.kind == SERVICE]
        shared = self.children.socket(deployment)
        endpoints = [Endpoint(f"{probing.UNIX}{shared}")] if shared else []
        endpoints += [
            Endpoint(port_of(child), draining=state_of(child) is InstanceState.DRAINING)
            for child in children
            if child.port and state_of(child) in _AT_PORT
        ]
        held = self.children.socket(held_socket(deployment))
        return View(
            instances=tuple(map(self._instance, children)),
            endpoints=tuple(endpoints),
            held=Endpoint(f"{probing.UNIX}{held}") if held else None,
            armed=self.standby.armed(deployment),
            woke=self.children.woken(deployment),
            pressed=self.children.pressed,
        )

    async def start(self, workload: Workload, ordinal: int) -> None:
        """Spawn an instance with its private socket, or with a port of its own.

        It is forked from a parent where there is one.
        """
        name = instance_name(workload.deployment, workload.revision, ordinal)
        if self.children.get(name) is not None:
            return
        if excess := await self.disk.excess(workload):  # it has ended as soon as it would begin
            await self.children.put_ended(name, service_label(workload, ordinal), excess)
            return
        port = on_port(workload)
        if not port:
            await self.children.listen(workload.deployment)
        label = service_label(workload, ordinal)
        parent = self.standby.parents.needed(workload)
        try:
            await self.children.spawn(service_spec(self._host, workload, name, label, parent))
        except KeeperError as error:
            if not port:
                await ask(self.children.close_socket(name))
            raise refused(error) from error
        if not port:  # it came with the instance, at a stroke: nobody would close it else
            await ask(self.children.listen(name))
        self.standby.parents.follow(workload)
        self._changed.put_nowait(workload.deployment)

    async def prove(self, deployment: str, instance: str, health: Health) -> None:
        """Ask the instance over its private socket, or its port, as long as it lives."""
        address = where(self._require(instance), self.children.socket(instance))
        if address is None:
            raise unavailable("instance_gone", "The instance is gone", f"{instance} has no socket.")
        await self._while_alive(instance, probing.prove(address, health))
        self._require(instance)
        self.rounds.follow(instance)

    async def admit(self, deployment: str, instance: str) -> None:
        """Tell it to accept from the shared socket, or make its port an endpoint."""
        child = self._require(instance)
        if child.port:
            await self._enter(child, Phase.SERVING)
            held = held_socket(deployment)
            if self.children.socket(held) is not None:  # whoever waits there is handed on
                await ask(self.children.client.forward(held, instance))
            return
        await ask(self.children.client.signal(instance, "SIGUSR1", group=False))
        try:
            await self.children.until(instance, _accepting_or_gone, ADMISSION)
        except TimeoutError as error:
            raise unavailable(
                "not_admitted", "It does not accept", f"{instance} did not say that it accepts."
            ) from error
        self._require(instance)

    async def drain(self, deployment: str, instance: str) -> None:
        """Tell it to leave when it has finished; a port only gets no new requests."""
        child = self.children.get(instance)
        if child is None or child.ending is not None:
            return
        await self._enter(child, Phase.DRAINING)  # when it began counts for sockets, too
        if child.port:
            await ask(self.children.client.thaw(instance))
            return
        await ask(self.children.client.stop(instance, farewell(child)))
        try:
            await self.children.until(instance, _leaving, ADMISSION)
        except TimeoutError as error:
            raise unavailable(
                "not_drained", "It goes on accepting", f"{instance} did not say that it leaves."
            ) from error

    async def stop(self, deployment: str, instance: str) -> None:
        """End it, wait until it has ended, and forget it with its socket."""
        await self._end(instance)
        await ask(self.children.close_socket(instance))
        await ask(self.children.forget(instance))
        await self._clear(deployment)
        self._changed.put_nowait(deployment)

    async def remove(self, deployment: str) -> None:
        """End what is left, close its sockets, delete folders and logs.

        Its children are forgotten last: if this process ends before, the next one is told of them.
        """
        children = self.children.of(deployment)
        for child in children:
            await self._end(child.name)
        await self.standby.parents.drop(deployment)
        for socket in self.children.sockets(deployment):
            await ask(self.children.close_socket(socket))
        await asyncio.to_thread(remove_folders, self._host, deployment)
        for child in children:
            await ask(self.children.forget(child.name))
        self.children.drop(deployment)
        self.disk.forget(deployment)

    async def changes(self) -> AsyncIterator[str]:
        """Yield deployments that have processes, then those whose processes changed."""
        while True:
            yield await self._changed.get()

    async def _end(self, instance: str) -> None:
        """End an instance and wait until it has ended; what is known of it stays."""
        child = self.children.get(instance)
        if child is not None and child.ending is None:
            grace = farewell(child) if child.port else FINAL_GRACE
            async with self.rounds.left_alone(instance):
                await ask(self.children.client.stop(instance, grace))
                await self.children.until_ended(instance, grace)

    async def _clear(self, deployment: str) -> None:
        """Forget the libraries of versions that nothing runs any more, and nobody is forked for."""
        running = {child.label.version for child in self.children.of(deployment)}
        armed = self.standby.armed_version(deployment)
        if running:  # in standby nothing runs, and the next caller starts what is there
            kept = running if armed is None else running | {armed}
            loaded = await self.standby.parents.tidy(deployment, kept)
            await asyncio.to_thread(clear_imports, self._host, deployment, kept | loaded)

    def _require(self, name: str) -> Child:
        child = self.children.get(name)
        if child is None or child.ending is not None:
            raise unavailable("instance_gone", "The instance is gone", f"{name} has ended.")
        return child

    def _instance(self, child: Child) -> Instance:
        socket = self.children.socket(child.name)
        return instance_of(child, socket, self.rounds.failing(child.name))

    def _noted(self, child: str) -> None:
        self.rounds.note(child)

    async def _enter(self, child: Child, phase: Phase) -> None:
        if child.label.phase is phase:
            return  # it has been in it since then
        label = replace(child.label, phase=phase, since=time.time())
        await ask(self.children.relabel(child, label))

    async def _while_alive(self, name: str, asking: Coroutine[Any, Any, None]) -> None:
        """Ask something of an instance until it is answered, or until the instance has ended."""
        asked = asyncio.create_task(asking)
        gone = asyncio.create_task(self.children.until(name, ended, None))
        try:
            await asyncio.wait([asked, gone], return_when=asyncio.FIRST_COMPLETED)
            if not gone.done():
                await asked
        finally:
            asked.cancel()
            gone.cancel()
            await asyncio.gather(asked, gone, return_exceptions=True)


def _leaving(child: Child | None) -> bool:
    return ended(child) or (child is not None and child.status == "draining")


def _accepting_or_gone(child: Child | None) -> bool:
    return ended(child) or (child is not None and child.status == "accepting")
