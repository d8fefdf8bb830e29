"""The door ``Driver`` on this host."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from codestore.domain.faults import unavailable
from codestore.domain.instances import Instance, InstanceState, View, Workload
from codestore.domain.manifest import Health
from codestore.domain.routing import Endpoint
from codestore.drivers.process import probing
from codestore.drivers.process.asking import ask, refused
from codestore.drivers.process.children import Child, Children, ended, farewell
from codestore.drivers.process.launching import (
    FINAL_GRACE,
    Host,
    clear_code,
    on_port,
    provide_code,
    service_spec,
)
from codestore.drivers.process.naming import SERVICE, Label, Phase, held_socket, instance_name
from codestore.drivers.process.resting import ProcessStandby
from codestore.keeper.client import KeeperClient
from codestore.keeper.errors import KeeperError

ADMISSION = 10.0  # seconds an instance has to say that it accepts
_STATES = {
    "ready": InstanceState.READY,
    "accepting": InstanceState.SERVING,
    "draining": InstanceState.DRAINING,
}
_AT_PORT = (InstanceState.SERVING, InstanceState.DRAINING)
_PHASES = {
    Phase.STARTING: InstanceState.READY,
    Phase.SERVING: InstanceState.SERVING,
    Phase.DRAINING: InstanceState.DRAINING,
}


class ProcessDriver:
    """Instances as processes under the keeper. Open it with ``async with``."""

    def __init__(self, client: KeeperClient, keeper: Path, host: Host) -> None:
        self._changed: asyncio.Queue[str] = asyncio.Queue()
        self.children = Children(client, self._changed.put_nowait)
        self._keeper = keeper
        self._host = host
        self.standby = ProcessStandby(self.children, host)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "ProcessDriver":
        loaded = asyncio.Event()
        self._tasks.append(asyncio.create_task(self.children.follow(self._keeper, loaded)))
        await loaded.wait()
        self._tasks.append(asyncio.create_task(self.standby.look_after()))
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
            Endpoint(_tcp(child), draining=_instance(child).state is InstanceState.DRAINING)
            for child in children
            if child.port and _instance(child).state in _AT_PORT
        ]
        held = self.children.socket(held_socket(deployment))
        return View(
            instances=tuple(_instance(child) for child in children),
            endpoints=tuple(endpoints),
            held=Endpoint(f"{probing.UNIX}{held}") if held else None,
            armed=self.standby.armed(deployment),
            woke=self.children.woken(deployment),
            pressed=self.children.pressed,
        )

    async def start(self, workload: Workload, ordinal: int) -> None:
        """Spawn an instance with its private socket, or with a port of its own."""
        name = instance_name(workload.deployment, workload.revision, ordinal)
        if self.children.get(name) is not None:
            return
        await asyncio.to_thread(provide_code, self._host, workload)
        port = on_port(workload)
        if not port:
            await self.children.listen(workload.deployment)
            await self.children.listen(name)
        label = Label(workload.deployment, SERVICE, workload.revision, ordinal, workload.drain)
        try:
            await self.children.spawn(service_spec(self._host, workload, name, label))
        except KeeperError as error:
            if not port:
                await ask(self.children.close_socket(name))
            raise refused(error) from error
        self._changed.put_nowait(workload.deployment)

    async def prove(self, deployment: str, instance: str, health: Health) -> None:
        """Ask the instance over its private socket, or its port, as long as it lives."""
        child = self._require(instance)
        address = _tcp(child) if child.port else self._private(instance)
        await self._while_alive(instance, probing.prove(address, health))
        self._require(instance)

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
        child = self.children.get(instance)
        if child is not None and child.ending is None:
            grace = farewell(child) if child.port else FINAL_GRACE
            await ask(self.children.client.stop(instance, grace))
            await self.children.until_ended(instance, grace)
        await ask(self.children.forget(instance))
        await ask(self.children.close_socket(instance))
        await self._clear(deployment)
        self._changed.put_nowait(deployment)

    async def remove(self, deployment: str) -> None:
        """End what is left, close its sockets, delete folders and logs."""
        for child in self.children.of(deployment):
            await self.stop(deployment, child.name)
        for socket in self.children.sockets(deployment):
            await ask(self.children.close_socket(socket))
        for folder in (self._host.work / deployment, self._host.logs / deployment):
            await asyncio.to_thread(shutil.rmtree, folder, True)
        self.children.drop(deployment)

    async def changes(self) -> AsyncIterator[str]:
        """Yield deployments whose processes changed."""
        while True:
            yield await self._changed.get()

    async def _clear(self, deployment: str) -> None:
        """Delete the code of revisions that nothing runs any more."""
        running = {child.label.revision for child in self.children.of(deployment)}
        armed = self.standby.armed(deployment)
        if running:  # in standby nothing runs, and the next caller starts what is there
            kept = running if armed is None else running | {armed}
            await asyncio.to_thread(clear_code, self._host, deployment, kept)

    def _require(self, name: str) -> Child:
        child = self.children.get(name)
        if child is None or child.ending is not None:
            raise unavailable("instance_gone", "The instance is gone", f"{name} has ended.")
        return child

    def _private(self, name: str) -> str:
        path = self.children.socket(name)
        if path is None:
            raise unavailable("instance_gone", "The instance is gone", f"{name} has no socket.")
        return f"{probing.UNIX}{path}"

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


def _instance(child: Child) -> Instance:
    label = child.label
    if child.ending is not None:
        state = InstanceState.ENDED
    elif child.frozen_at:
        state = InstanceState.FROZEN
    elif child.port and not child.ready:
        state = InstanceState.STARTING
    elif child.port:
        state = InstanceState.DRAINING if child.stopping else _PHASES[label.phase]
    else:
        state = _STATES.get(child.status, InstanceState.STARTING)
    since = child.frozen_at or label.since or child.started_at
    began = datetime.fromtimestamp(since, UTC)
    address = _tcp(child) if child.port else None
    return Instance(child.name, label.revision, label.ordinal, state, began, address, child.ending)


def _tcp(child: Child) -> str:
    return f"{probing.TCP}127.0.0.1:{child.port}"


def _leaving(child: Child | None) -> bool:
    return ended(child) or (child is not None and child.status == "draining")


def _accepting_or_gone(child: Child | None) -> bool:
    return ended(child) or (child is not None and child.status == "accepting")
