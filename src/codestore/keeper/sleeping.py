"""The sleep of one run: frozen without losing a connection, thawed when one arrives.

The order is what makes it safe. First the listener is followed: whoever comes from now on thaws the
child. Then it is stopped, so it can accept nothing more. Then it is looked whether anybody is
connected; a look may take its time, because whoever comes after its beginning is noticed anyway.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from codestore.keeper import looking
from codestore.keeper.freezing import Grip
from codestore.keeper.home import Home
from codestore.keeper.protocol import BACKLOG, Frozen
from codestore.keeper.run import Run

_log = logging.getLogger(__name__)

PATIENCE: Final = 0.05
"""Seconds until every thread must have stopped; one deep inside the kernel may not."""
_STEP: Final = 0.0005

Given = TypeVar("Given")


class Sleep:
    """Freezes and thaws one run, which is told by its ``frozen`` and ``freezing``."""

    def __init__(self, run: Run, grip: Grip, home: Home) -> None:
        self._run = run
        self._grip = grip
        self._home = home
        self._socket = ""
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
            if run.frozen or not run.alive or self._thaws != thaws or self._busy(socket):
                return run.frozen
            attempt = self._attempt = object()
            run.freezing, self._socket = True, socket
            self._home.listeners.sleep(socket, run.name, self._arrived)
            try:
                if await self._idle(attempt, path) and not self._busy(socket):
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
        self._home.listeners.wake(self._socket, run.name)
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
        # Anew: another watch may have been set, or called off, while we looked.
        self._home.listeners.sleep(self._socket, run.name, self._arrived)
        self._home.listeners.sleep_alone(self._socket)
        self._home.listeners.let_wait(self._socket, queue)
        self._attempt = None
        run.frozen, run.freezing = True, False
        self._grip.settle()
        self._home.publish(Frozen(run.name, frozen=True))

    def _arrived(self, noticed: float) -> bool:
        was_frozen = self._run.frozen
        self.thaw()
        if was_frozen:
            self._home.waker.woke(self._socket, self._run, noticed, thawed=True)
        return was_frozen

    def _busy(self, socket: str) -> bool:
        return self._home.listeners.waiting(socket) or self._run.relays > 0

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
        if await _elsewhere(looking.is_visited, path):
            return True
        port = self._run.port
        return port > 0 and await _elsewhere(looking.is_called, port)

    async def _stopped(self, attempt: object) -> bool:
        """Wait until it has stopped; false when it does not, or was thawed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while self._run.alive and self._attempt is attempt:
            if self._grip.frozen():
                return True
            if loop.time() > deadline:
                _log.warning("%s does not freeze", self._run.name)
                return False
            await asyncio.sleep(_STEP)
        return False


async def _elsewhere(look: Callable[[Given], bool], given: Given) -> bool:
    """Look from a thread: with many connections, the kernel takes milliseconds to list them."""
    return await asyncio.get_running_loop().run_in_executor(None, look, given)
