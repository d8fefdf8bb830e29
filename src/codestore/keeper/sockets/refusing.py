"""Refusing: an answer to everybody who waits at a socket that nobody will accept from soon."""

import asyncio
import logging
from typing import Final

from codestore.keeper.sockets.listeners import Listeners
from codestore.keeper.sockets.relay import answer

_log = logging.getLogger(__name__)

MOST: Final = 4096
"""Connections refused by one request: what a queue holds by default."""
_HEARD: Final = 1024 * 1024  # bytes of a request that are read, and thrown away
_PATIENCE: Final = 1.0  # seconds


class Refusals:
    """Sends answers, of whose meaning it knows nothing."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._tasks: set[asyncio.Task[None]] = set()

    def refuse(self, socket: str, text: str) -> int:
        """Take all who wait now and begin to answer them; return how many.

        Raises ``KeeperError(not-found)``.
        """
        self._listeners.path(socket)
        try:
            waiting = self._listeners.accept(socket, MOST)
        except OSError as failure:
            _log.warning("nobody at %s can be refused: %s", socket, failure)
            return 0
        for visitor in waiting:
            task = asyncio.create_task(answer(visitor, text.encode(), _HEARD, _PATIENCE))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(waiting)
