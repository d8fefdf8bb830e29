"""From a connection that was noticed to the child that took it: who woke, and how long it took.

A wake asks nobody: what is to be started was told with the watch.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from codestore.keeper.protocol.messages import Event, Woken
from codestore.keeper.run import Run
from codestore.keeper.sockets.forwarding import Forwards
from codestore.keeper.sockets.listeners import Listeners

GIVE_UP: Final = 120.0
"""Seconds after which nobody is told any more."""
_CLOSELY: Final = 0.05  # seconds of the first, short steps
_SHORT: Final = 0.0005
_LONG: Final = 0.002


class Waker:
    """Publishes ``Woken`` when the connection that woke a child has been taken."""

    def __init__(
        self, listeners: Listeners, forwards: Forwards, publish: Callable[[Event], None]
    ) -> None:
        self._listeners = listeners
        self._forwards = forwards
        self._publish = publish
        self._tasks: dict[asyncio.Task[None], str] = {}

    def woke(self, socket: str, run: Run, noticed: float, thawed: bool) -> None:
        """Follow what happens to the connection noticed at ``socket``, for which ``run`` woke."""

        def tell() -> float:
            seconds = max(0.0, time.time() - noticed)
            if seconds <= GIVE_UP:
                self._publish(Woken(socket, run.name, seconds, thawed))
            return seconds

        if run.port:
            self._forwards.expect(socket, tell)
        else:
            task = asyncio.create_task(self._taken(socket, run, tell), name=f"wake {run.name}")
            self._tasks[task] = socket
            task.add_done_callback(self._tasks.pop)

    def call_off(self, socket: str) -> None:
        """Those who wait at this socket are sent away: nobody takes what was noticed."""
        for task in [each for each, name in self._tasks.items() if name == socket]:
            task.cancel()

    async def _taken(self, socket: str, run: Run, tell: Callable[[], float]) -> None:
        began = time.monotonic()
        while run.alive and (passed := time.monotonic() - began) < GIVE_UP:
            if not self._listeners.waiting(socket):
                tell()
                return
            await asyncio.sleep(_SHORT if passed < _CLOSELY else _LONG)
