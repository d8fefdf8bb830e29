"""What the keeper holds for us: its list, kept up to date by its events.

A copy, never the truth: it is read anew from the keeper when this process starts or when the
stream of events breaks, and the keeper is who acts.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from codestore.domain.faults import unavailable
from codestore.domain.instances import Wake
from codestore.domain.standby import Depth
from codestore.drivers.process.child import Child, child_of, ended, ending_of
from codestore.drivers.process.naming import PRELOAD, Label, deployment_of, held_socket
from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import (
    Event,
    Exited,
    Frozen,
    Notify,
    Pending,
    Started,
    Woken,
)
from codestore.keeper.spec import ChildSpec

log = structlog.get_logger(__name__)
TRIES = 50  # readings of a list that is never still; the last one counts
BACKLOG = 4096  # callers that may wait at a socket from which somebody accepts
QUIET = 0.15  # seconds after somebody came in which a wake is left alone
TOLD = 10.0  # seconds until the end of a child is told that had to end by now
NEWS = 2.0  # seconds until the start of a child is told
RECONNECT = 0.2  # seconds between tries to follow the keeper again


class Children:
    """The children that carry a label of ours, and the sockets held for us.

    ``limits`` is what the keeper can bound of a child (``memory``, ``cpu``), and ``limiter`` how:
    ``cgroup v1``, ``cgroup v2`` or ``none``.
    """

    def __init__(
        self,
        client: KeeperClient,
        changed: Callable[[str], None],
        noted: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``changed`` hears of deployments, ``noted`` of each child of which something is new."""
        self.client = client
        self._changed = changed
        self._noted = noted
        self._children: dict[str, Child] = {}
        self._sockets: dict[str, str] = {}
        self._watches: dict[str, Mapping[str, str]] = {}
        self._fired: set[str] = set()
        self._quiet: dict[str, asyncio.TimerHandle] = {}
        self._woken: dict[str, Wake] = {}
        self.pressed = False
        self.limiter = "none"
        self.limits: tuple[str, ...] = ()
        self._bell = asyncio.Condition()
        self._loading = asyncio.Lock()
        self._learned = 0

    def of(self, deployment: str) -> list[Child]:
        """Return the children of a deployment, by name."""
        found = [held for held in self._children.values() if held.label.deployment == deployment]
        return sorted(found, key=lambda held: held.name)

    def all(self) -> list[Child]:
        """Return every child of ours."""
        return list(self._children.values())

    def preloads(self) -> list[Child]:
        """Return the parents that instances are forked from."""
        return [held for held in self._children.values() if held.label.kind == PRELOAD]

    def press(self, pressed: bool) -> None:
        """Note whether the host is short of memory; what is frozen may have to go then."""
        if pressed != self.pressed:
            self.pressed = pressed
            for child in self._children.values():
                if child.frozen_at:
                    self._changed(child.label.deployment)

    def get(self, name: str) -> Child | None:
        """Return a child by name."""
        return self._children.get(name)

    def socket(self, name: str) -> str | None:
        """Return the path of a socket held for us."""
        return self._sockets.get(name)

    def watch_on(self, name: str) -> Mapping[str, str] | None:
        """Return the label of the watch on a socket, while there is one.

        One that starts a child is there until that child is: in between it is as good as started,
        and needs nothing more.
        """
        return self._watches.get(name)

    def woken(self, deployment: str) -> Wake | None:
        """Return the last wake of a deployment that was told of."""
        return self._woken.get(deployment)

    def sockets(self, deployment: str) -> list[str]:
        """Return the names of all sockets held for a deployment."""
        return [n for n in self._sockets if n == deployment or n.startswith(f"{deployment}.")]

    async def listen(self, name: str, backlog: int = BACKLOG) -> str:
        """Have a socket held, at which so many callers may wait; return its path."""
        path = await self.client.listen(name, backlog)
        self._learned += 1
        self._sockets[name] = path
        return path

    async def close_socket(self, name: str) -> None:
        """Have a socket closed."""
        await self.client.close_socket(name)
        self._learned += 1
        self._sockets.pop(name, None)
        self._watches.pop(name, None)

    async def watch(self, name: str, spawn: ChildSpec, label: Mapping[str, str]) -> None:
        """Have the next caller at a socket start a child.

        Noted before it is asked for: the caller may be told of before the answer is.
        """
        self._fired.discard(name)
        self._watches[name] = label
        try:
            await self.client.watch(name, self._bounded(spawn), label)
        except BaseException:
            self._watches.pop(name, None)
            raise

    async def unwatch(self, name: str) -> None:
        """Call that off."""
        await self.client.unwatch(name)
        self._watches.pop(name, None)

    async def forget(self, name: str) -> None:
        """Have the record of an ended child dropped, here and there."""
        try:
            await self.client.forget(name)
        except KeeperError as error:
            if error.code != "not-found":
                raise
        self._learned += 1
        self._children.pop(name, None)
        self._noted(name)

    def drop(self, deployment: str) -> None:
        """Forget what is remembered of a deployment's wakes."""
        self._woken.pop(deployment, None)
        self._fired -= {deployment, held_socket(deployment)}

    async def relabel(self, child: Child, label: Label) -> None:
        """Have something else remembered of a child."""
        await self.client.relabel(child.name, label.written())
        current = self._children.get(child.name)
        if current is not None:
            await self._put(replace(current, label=label))

    async def until(
        self, name: str, holds: Callable[[Child | None], bool], timeout: float | None
    ) -> None:
        """Wait until something holds of a child (or of its absence).

        Raises ``TimeoutError`` after ``timeout`` seconds; without, it waits for ever.
        """
        async with asyncio.timeout(timeout), self._bell:
            await self._bell.wait_for(lambda: holds(self._children.get(name)))

    async def until_ended(self, name: str, grace: float) -> None:
        """Wait for the end of a child that was asked to end within ``grace`` seconds.

        Raises an UNAVAILABLE fault when it is still there some time after that.
        """
        try:
            await self.until(name, ended, grace + TOLD)
        except TimeoutError as error:
            detail = f"{name} is still there."
            raise unavailable("not_stopped", "It does not stop", detail) from error

    async def load(self) -> None:
        """Read the keeper's list.

        What is learned while the list is on its way may be newer than the list: then it is read
        again. Without that, a child that became ready just then would never be seen to be.
        """
        async with self._loading:
            for _ in range(TRIES):
                before = self._learned
                listing = await self.client.list()
                if self._learned == before:
                    break
        self.limiter, self.limits = listing.limiter, listing.limits
        self._sockets = {held.name: held.path for held in listing.sockets}
        watched = {held.name: held.label for held in listing.sockets if held.watched}
        gone = self._watches.keys() - watched.keys()
        self._watches = watched
        self._fired.clear()
        children = [child for child in map(child_of, listing.children) if child is not None]
        known = self._children.keys()
        self._children = {child.name: child for child in children}
        for name in known | self._children.keys():
            self._noted(name)
        for socket in gone:  # a caller may have come, and what it started have failed
            self._changed(deployment_of(socket))
        async with self._bell:
            self._bell.notify_all()

    async def follow(self, path: Path, loaded: asyncio.Event) -> None:
        """Follow the keeper for ever; ``loaded`` is set when the first list was read."""
        while True:
            try:
                async with self.client.events() as events:
                    await self.load()
                    loaded.set()
                    for child in self.all():
                        self._changed(child.label.deployment)
                    async for event in events:
                        await self._take(event)
            except KeeperError as error:
                log.warning("lost the keeper", keeper=str(path), error=str(error))
                await asyncio.sleep(RECONNECT)

    async def spawn(self, spec: ChildSpec) -> None:
        """Have a child started; it is known here when this returns."""
        pid = await self.client.spawn(self._bounded(spec))
        with contextlib.suppress(TimeoutError):
            await self.until(spec.name, lambda child: child is not None and child.pid == pid, NEWS)
            return
        await self.load()

    async def put_ended(self, name: str, label: Label, ending: str) -> None:
        """Take down a child that ended before it began."""
        await self._put(Child(name, 0, label, time.time(), ending=ending))

    def _bounded(self, spec: ChildSpec) -> ChildSpec:
        """Return the spec without bounds that cannot be set: an old keeper has no word for them."""
        memory = spec.memory if "memory" in self.limits else None
        cpu = spec.cpu if "cpu" in self.limits else None
        return replace(spec, memory=memory, cpu=cpu)

    async def _take(self, event: Event) -> None:
        self._learned += 1
        match event:
            case Started(child=view):
                fresh = child_of(view)
                if fresh is not None:
                    self._came(fresh.label)
                    await self._put(fresh)
            case Exited():
                await self._take_end(event)
            case Notify(name=name, ready=ready, status=status):
                child = self._children.get(name)
                if child is not None:
                    await self._put(replace(child, ready=ready, status=status))
            case Frozen(name=name, frozen=frozen):
                child = self._children.get(name)
                if child is not None:
                    await self._put(replace(child, frozen_at=time.time() if frozen else 0.0))
            case Woken(socket=socket, seconds=seconds, thawed=thawed):
                depth = Depth.FROZEN if thawed else Depth.STOPPED
                deployment = deployment_of(socket)
                self._woken[deployment] = Wake(datetime.now(UTC), seconds, depth)
                self._tell(deployment)
            case Pending(socket=socket):
                self._fired.add(socket)
                self._hush(deployment_of(socket))

    def _hush(self, deployment: str) -> None:
        """A wake is under way and needs nobody: what is to be done about it can wait a moment.

        The processor is left to whoever is being called.
        """
        if deployment not in self._quiet:
            loop = asyncio.get_running_loop()
            self._quiet[deployment] = loop.call_later(QUIET, self._speak, deployment)

    def _speak(self, deployment: str) -> None:
        self._quiet.pop(deployment, None)
        self._changed(deployment)

    def _tell(self, deployment: str) -> None:
        if deployment not in self._quiet:
            self._changed(deployment)

    def _came(self, label: Label) -> None:
        """What a caller started is there, or has failed: its watch is over."""
        for socket in (label.deployment, held_socket(label.deployment)):
            if socket in self._fired:
                self._fired.discard(socket)
                self._watches.pop(socket, None)

    async def _take_end(self, event: Exited) -> None:
        child = self._children.get(event.name)
        label = Label.read(event.label)
        ending = ending_of(event)
        if label is not None:
            self._came(label)
        if child is not None and child.pid == event.pid:  # else its successor is known already
            await self._put(replace(child, ending=ending))
        elif child is None and label is not None:  # a caller should have started it, in vain
            await self.put_ended(event.name, label, ending)

    async def _put(self, child: Child) -> None:
        self._learned += 1
        self._children[child.name] = child
        self._noted(child.name)
        if child.ending is None:
            self._tell(child.label.deployment)
        else:
            self._changed(child.label.deployment)
        async with self._bell:
            self._bell.notify_all()
