"""The sleep of one run: frozen without losing a connection, thawed when one arrives.

The order is what makes it safe. First the listener is followed: whoever comes from now on thaws the
child. Then it is stopped, so it can accept nothing more. Then it is looked whether anybody is
connected; a look may take its time, because whoever comes after its beginning is noticed anyway.

All of this holds for every socket that it was given. The one that is named is where callers are
expected: there a wake is told of, and a limit is set to how many may wait.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from codestore.keeper.bounds.freezing import Grip
from codestore.keeper.home import Home
from codestore.keeper.protocol.messages import BACKLOG, Frozen
from codestore.keeper.run import Run
from codestore.keeper.sockets import looking

_log = logging.getLogger(__name__)

PATIENCE: Final = 0.5
"""Seconds until every thread must have stopped: one deep inside the kernel may not for long, nor
does anybody on a busy machine. Whoever comes meanwhile ends the attempt."""
_STEP: Final = 0.0005  # seconds between two looks, at first
_LONGEST: Final = 0.01  # and at last

Given = TypeVar("Given")


class Sleep:
    """Freezes and thaws one run, which is told by its ``frozen`` and ``freezing``."""

    def __init__(self, run: Run, grip: Grip, home: Home) -> None:
        self._run = run
        self._grip = grip
        self._home = home
        self._socket = ""
        self._others: tuple[str, ...] = ()
        self._turn = asyncio.Lock()
        self._attempt: object | None = None
        self._gripped = False
        self._thaws = 0
        run.thaw = self.thaw

    async def freeze(self, socket: str, queue: int) -> bool:
        """Freeze it until a connection arrives at ``socket``; tell whether it is frozen.

        At most ``queue`` may wait there then. A thaw in the meantime wins. Raises
        ``KeeperError(not-found)`` for the socket, ``OSError``.
        """
        path = self._home.listeners.path(socket)
        run, thaws = self._run, self._thaws
        async with self._turn:
            if run.frozen or not run.alive or self._thaws != thaws:
                return run.frozen
            self._socket = socket
            self._others = tuple(name for name in run.sockets if name != socket)
            if self._busy():
                return False
            attempt = self._attempt = object()
            run.freezing = True
            self._follow()
            try:
                if await self._idle(attempt, path) and not self._busy():
                    self._fall_asleep(queue)
            finally:
                if self._attempt is attempt:
                    self.thaw()
            return run.frozen

    def thaw(self) -> None:
        """Let it run on, or give up freezing it. Idempotent."""
        run = self._run
        was_frozen = run.frozen
        self._thaws += 1
        if not (was_frozen or run.freezing):
            return
        if self._gripped and run.alive:
            self._grip.thaw()
        run.frozen = run.freezing = self._gripped = False
        self._attempt = None
        for socket in (self._socket, *self._others):
            self._home.listeners.wake(socket, run.name)
        if was_frozen:
            self._home.listeners.let_wait(self._socket, BACKLOG)
        if was_frozen and run.alive:
            self._home.publish(Frozen(run.name, frozen=False))

    def end(self) -> None:
        """The run has ended, perhaps in its sleep."""
        self.thaw()
        self._grip.release()

    def _fall_asleep(self, queue: int) -> None:
        run = self._run
        self._follow()  # anew: another watch may have been set, or called off, while we looked
        self._home.listeners.sleep_alone(self._socket)
        self._home.listeners.let_wait(self._socket, queue)
        self._attempt = None
        run.frozen, run.freezing = True, False
        self._grip.settle()
        self._home.publish(Frozen(run.name, frozen=True))

    def _follow(self) -> None:
        """Be thawed by whoever comes to any of its sockets."""
        listeners = self._home.listeners
        listeners.sleep(self._socket, self._run.name, self._arrived)
        for socket in filter(listeners.holds, self._others):
            listeners.sleep(socket, self._run.name, self._arrived_aside)

    def _arrived_aside(self, _noticed: float) -> bool:
        """Somebody has come to a socket where none of those who would wake it are expected."""
        self.thaw()
        return False

    def _arrived(self, noticed: float) -> bool:
        was_frozen = self._run.frozen
        self.thaw()
        if was_frozen:
            self._home.waker.woke(self._socket, self._run, noticed, thawed=True)
        return was_frozen

    def _busy(self) -> bool:
        awaited = map(self._home.listeners.waiting, (self._socket, *self._others))
        return self._run.relays > 0 or any(awaited)

    async def _idle(self, attempt: object, path: Path) -> bool:
        """Stop it, and tell whether nobody is connected; false when it was thawed meanwhile.

        Who serves somebody is not stopped at all: hence a first look.
        """
        if await self._visited(path) or self._attempt is not attempt:
            return False
        await self._grip.prepare()
        if self._attempt is not attempt:
            return False
        self._gripped = True
        self._grip.freeze()
        if not await self._stopped(attempt) or await self._visited(path):
            return False
        return self._attempt is attempt

    async def _visited(self, path: Path) -> bool:
        """Tell whether anybody is connected to it, or waits for it."""
        listeners = self._home.listeners
        others = [listeners.path(each) for each in self._others if listeners.holds(each)]
        if await _elsewhere(looking.is_visited, (path, *others)):
            return True
        port = self._run.port
        return port > 0 and await _elsewhere(looking.is_called, port)

    async def _stopped(self, attempt: object) -> bool:
        """Wait until it has stopped; false when it does not, or was thawed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        step = _STEP
        while self._run.alive and self._attempt is attempt:
            if self._grip.frozen():
                return True
            if loop.time() > deadline:
                _log.warning("%s does not freeze", self._run.name)
                return False
            await asyncio.sleep(step)
            step = min(step * 1.5, _LONGEST)
        return False


async def _elsewhere(look: Callable[[Given], bool], given: Given) -> bool:
    """Look from a thread: with many connections, the kernel takes milliseconds to list them."""
    return await asyncio.get_running_loop().run_in_executor(None, look, given)
