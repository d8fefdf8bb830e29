"""The keeper's end of a cell's network: is it there, and is it still?"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from typing import Final

from codestore.keeper import processes

PATIENCE: Final = 10.0
"""Seconds for a network to be connected; what takes some tens of milliseconds."""


class Link:
    """The process that connects a cell. ``port`` of the host's loopback leads to the same inside.

    ``inside`` is a TCP socket in there, and ``ready`` a pipe at which that process says when it is
    ready; both belong to the link.
    """

    def __init__(self, process: int, ready: int, inside: int, port: int) -> None:
        self.port = port
        self._process = os.pidfd_open(process)
        self._ready: int | None = ready
        self._inside: socket.socket | None = socket.socket(fileno=inside)
        self._followed = False

    @property
    def up(self) -> bool:
        """Whether it is known to be connected."""
        if self._ready is not None and processes.speaks(self._ready, 0):
            self._hear(self._ready)
        return self._ready is None

    @property
    def lost(self) -> bool:
        """Whether the process has ended."""
        return processes.speaks(self._process, 0)

    def wait(self) -> None:
        """Return when it is connected, without a loop. Raises ``OSError`` when it will not be."""
        if self._ready is not None:
            if not processes.speaks(self._ready, PATIENCE):
                raise TimeoutError("pasta does not get ready")
            self._hear(self._ready)

    async def connected(self) -> None:
        """Return when it is connected. Raises ``OSError`` when it will not be."""
        loop, ready = asyncio.get_running_loop(), self._ready
        if ready is None:
            return
        heard = asyncio.Event()
        loop.add_reader(ready, heard.set)
        try:
            async with asyncio.timeout(PATIENCE):
                await heard.wait()
        except TimeoutError:
            raise TimeoutError("pasta does not get ready") from None
        finally:
            loop.remove_reader(ready)
        self._hear(ready)

    def take_inside(self) -> socket.socket | None:
        """Return the socket that is in there, to whom it belongs from then on."""
        taken, self._inside = self._inside, None
        return taken

    def follow(self, lost: Callable[[], None]) -> None:
        """Call ``lost`` when it is connected no more, before it is closed."""
        self._followed = True
        asyncio.get_running_loop().add_reader(self._process, self._lost, lost)

    def close(self) -> None:
        """End it."""
        self._unfollow()
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
        os.close(self._process)
        if self._ready is not None:
            os.close(self._ready)
            self._ready = None
        if self._inside:
            self._inside.close()

    def _lost(self, lost: Callable[[], None]) -> None:
        self._unfollow()
        lost()

    def _unfollow(self) -> None:
        if self._followed:
            self._followed = False
            asyncio.get_running_loop().remove_reader(self._process)

    def _hear(self, ready: int) -> None:
        if not os.read(ready, 64):
            raise ConnectionError("pasta ended")
        os.close(ready)
        self._ready = None
