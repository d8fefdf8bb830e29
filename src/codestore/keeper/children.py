"""The table of children, by name."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from codestore.keeper import processes
from codestore.keeper.child import Child
from codestore.keeper.errors import CLOSING, NOT_FOUND, RUNNING, KeeperError
from codestore.keeper.home import Home
from codestore.keeper.protocol.messages import ChildView
from codestore.keeper.spec import ChildSpec

_LINGER = 5.0  # seconds that even killed children get at shutdown, before they are given up


class Children:
    """Starts, finds and ends children."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._table: dict[str, Child] = {}
        self._closing = False

    async def spawn(self, spec: ChildSpec, woken_at: float | None = None) -> int:
        """Start a child and return its pid; that of the one of this name while it runs.

        ``woken_at`` is when a connection was noticed for which it is started.
        Raises ``KeeperError``: ``exec`` when its program cannot be started, ``not-found`` for a
        socket, ``system`` when there is no process left, ``closing``.
        """
        child = await self._at_work(spec.name)
        if self._closing:
            raise KeeperError(CLOSING, "the keeper is shutting down")
        if child is None:
            child = self._table[spec.name] = Child(spec, self._home, woken_at)
        try:
            return await child.pid()
        except KeeperError:
            if self._table.get(spec.name) is child:
                del self._table[spec.name]
            raise

    def signal(self, name: str, signal: str, group: bool, cause: str) -> None:
        """Send a signal. Raises ``KeeperError``: ``not-found``, ``not-running``."""
        self._find(name).signal(signal, group, cause)

    async def freeze(self, name: str, socket: str, queue: int) -> bool:
        """Freeze a child that nobody is connected to; tell whether it is frozen.

        Raises ``KeeperError``: ``not-found``, ``not-running``.
        """
        return await self._find(name).freeze(socket, queue)

    def thaw(self, name: str) -> None:
        """Let a frozen child run on. Idempotent. Raises ``KeeperError(not-found)``."""
        self._find(name).thaw()

    def stop(self, name: str, grace: float, frozen: bool) -> bool:
        """Begin to stop a child; tell whether its end will follow.

        Raises ``KeeperError``: ``not-found``; ``awake`` if only a frozen one was to be stopped.
        """
        return self._find(name).stop(grace, frozen)

    def forget(self, name: str) -> None:
        """Drop the record of an ended child. Raises ``KeeperError(running)``."""
        child = self._table.get(name)
        if child and not child.life.done():
            raise KeeperError(RUNNING, f"{name!r} has not ended for good: stop it first")
        self._table.pop(name, None)

    def relabel(self, name: str, label: Mapping[str, str]) -> None:
        """Remember another label of a child. Raises ``KeeperError(not-found)``."""
        child = self._find(name)
        child.spec = replace(child.spec, label=label)

    def heard(self, sender: int, variables: Mapping[str, str]) -> None:
        """Pass an sd_notify message on to the child that the sender belongs to, if any."""
        leaders = self._home.leaders
        for pid in processes.lineage(sender):
            leader = leaders.get(pid) or leaders.get(processes.session_of(pid) or 0)
            if leader:
                leader.heard(variables)
                return

    def views(self) -> tuple[ChildView, ...]:
        """List the children by name."""
        views = (child.view() for _, child in sorted(self._table.items()))
        return tuple(view for view in views if view)

    async def stop_all(self, grace: float) -> None:
        """Stop every child, each order together and the lowest first; start none any more."""
        self._closing = True
        for order in sorted({child.spec.order for child in self._table.values()}):
            lives = []
            for child in self._table.values():
                if child.spec.order == order and not child.life.done():
                    child.stop(grace)
                    lives.append(child.life)
            if lives:
                await asyncio.wait(lives, timeout=grace + _LINGER)

    async def _at_work(self, name: str) -> Child | None:
        """Return the child of this name that runs or starts; send one that rests away."""
        while (child := self._table.get(name)) and not child.life.done():
            if not child.resting:
                return child
            child.stop(0)
            await asyncio.wait([child.life])
        return None

    def _find(self, name: str) -> Child:
        if name not in self._table:
            raise KeeperError(NOT_FOUND, f"no child {name!r}")
        return self._table[name]
