"""What the keeper holds for us: its list, kept up to date by its events.

A copy, never the truth: it is read anew from the keeper when this process starts or when the
stream of events breaks, and the keeper is who acts.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from codestore.drivers.process.naming import Label
from codestore.keeper.client import KeeperClient
from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol import ChildView, Event, Exited, Notify, Pending, Started
from codestore.keeper.spec import ChildSpec

log = structlog.get_logger(__name__)
TRIES = 50  # readings of a list that is never still; the last one counts
RECONNECT = 0.2  # seconds between tries to follow the keeper again


@dataclass(frozen=True, slots=True)
class Child:
    """A child of ours. ``ending`` says how it ended, once it has. Unix seconds."""

    name: str
    pid: int
    label: Label
    started_at: float
    ready: bool = False
    status: str = ""
    ending: str | None = None


class Children:
    """The children that carry a label of ours, and the sockets held for us."""

    def __init__(self, client: KeeperClient, changed: Callable[[str], None]) -> None:
        self.client = client
        self._changed = changed
        self._children: dict[str, Child] = {}
        self._sockets: dict[str, str] = {}
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

    def get(self, name: str) -> Child | None:
        """Return a child by name."""
        return self._children.get(name)

    def socket(self, name: str) -> str | None:
        """Return the path of a socket held for us."""
        return self._sockets.get(name)

    def sockets(self, deployment: str) -> list[str]:
        """Return the names of all sockets held for a deployment."""
        return [n for n in self._sockets if n == deployment or n.startswith(f"{deployment}.")]

    async def listen(self, name: str) -> str:
        """Have a socket held; return its path."""
        path = await self.client.listen(name)
        self._learned += 1
        self._sockets[name] = path
        return path

    async def close_socket(self, name: str) -> None:
        """Have a socket closed."""
        await self.client.close_socket(name)
        self._learned += 1
        self._sockets.pop(name, None)

    async def forget(self, name: str) -> None:
        """Have the record of an ended child dropped, here and there."""
        try:
            await self.client.forget(name)
        except KeeperError as error:
            if error.code != "not-found":
                raise
        self._learned += 1
        self._children.pop(name, None)

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
        self._sockets = {held.name: held.path for held in listing.sockets}
        children = [child for child in map(_child, listing.children) if child is not None]
        self._children = {child.name: child for child in children}
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
        pid = await self.client.spawn(spec)
        known = self._children.get(spec.name)
        if known is None or known.pid != pid or known.ending is not None:
            await self.load()

    async def _take(self, event: Event) -> None:
        self._learned += 1
        match event:
            case Started(name=name, pid=pid):
                known = self._children.get(name)
                if known is None or known.pid != pid:
                    await self.load()
            case Exited(name=name, pid=pid, code=code, signal=signal):
                child = self._children.get(name)
                if child is not None and child.pid == pid:  # else its successor is known already
                    await self._put(replace(child, ending=_ending(code, signal)))
            case Notify(name=name, ready=ready, status=status):
                child = self._children.get(name)
                if child is not None:
                    await self._put(replace(child, ready=ready, status=status))
            case Pending():
                pass

    async def _put(self, child: Child) -> None:
        self._learned += 1
        self._children[child.name] = child
        self._changed(child.label.deployment)
        async with self._bell:
            self._bell.notify_all()


def _child(view: ChildView) -> Child | None:
    label = Label.read(view.label)
    if label is None:
        return None
    ending = None if view.running else _ending(view.code, view.signal)
    return Child(view.name, view.pid, label, view.started_at, view.ready, view.status, ending)


def _ending(code: int | None, signal: str | None) -> str:
    return f"killed by {signal}" if signal else f"exit code {code}"
