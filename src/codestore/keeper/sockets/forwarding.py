"""Forwarding: connections of a held socket handed on to the TCP port of a child.

For programs that cannot take a socket: they are given a port. The keeper accepts only while such a
child is there and ready, so that connections wait in the kernel's queue and not with us.
"""

import asyncio
import functools
import logging
import socket as sockets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from codestore.keeper.run import Run
from codestore.keeper.sockets.dialling import dial
from codestore.keeper.sockets.listeners import Listeners
from codestore.keeper.sockets.relay import relay

_log = logging.getLogger(__name__)

MOST: Final = 1024
"""Connections of one socket that are open at once; more wait in its queue."""
_AT_ONCE: Final = 32  # taken before everybody else gets a turn
_REST: Final = 0.1  # seconds without accepting, when there is no descriptor left


@dataclass(slots=True)
class Forward:
    """Where the connections of one socket go.

    ``woken`` is to be called by the next connected, and returns how many seconds it had waited.
    """

    socket: str
    child: str | None = None
    open: int = 0
    resting: bool = False
    woken: Callable[[], float] | None = None


class Forwards:
    """The forwards, by socket. ``runs`` are the running children by name."""

    def __init__(self, listeners: Listeners, runs: Mapping[str, Run]) -> None:
        self._listeners = listeners
        self._runs = runs
        self._table: dict[str, Forward] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def forward(self, socket: str, child: str | None) -> None:
        """Send later connections to ``child``, or accept none. Raises ``KeeperError(not-found)``.

        Those that are open go on.
        """
        self._listeners.path(socket)
        forward = self._table.setdefault(socket, Forward(socket))
        forward.child = child
        self._follow(forward)

    def drop(self, socket: str) -> None:
        """The socket is being closed: accept no more. Idempotent."""
        forward = self._table.pop(socket, None)
        if forward:
            forward.child = None
            self._follow(forward)

    def changed(self, child: str) -> None:
        """Look again whether this child can be forwarded to."""
        for forward in self._table.values():
            if forward.child == child:
                self._follow(forward)

    def awaited(self, child: str) -> bool:
        """Tell whether somebody waits for this child now."""
        sockets_of = (each.socket for each in self._table.values() if each.child == child)
        return any(map(self._listeners.waiting, sockets_of))

    def expect(self, socket: str, woken: Callable[[], float]) -> None:
        """Call ``woken`` when the next connection of this socket has reached its child."""
        forward = self._table.get(socket)
        if forward:
            forward.woken = woken

    def _follow(self, forward: Forward) -> None:
        run = self._runs.get(forward.child or "")
        if run is None or not run.alive:
            forward.woken = None
        ready = run is not None and run.serving and not forward.resting and forward.open < MOST
        acceptor = functools.partial(self._accept, forward) if ready else None
        self._listeners.accept_with(forward.socket, acceptor)

    def _accept(self, forward: Forward) -> None:
        run = self._runs.get(forward.child or "")
        if run is None or not run.serving:
            self._follow(forward)
            return
        run.thaw()
        try:
            taken = self._listeners.accept(forward.socket, min(_AT_ONCE, MOST - forward.open))
        except OSError as failure:
            _log.warning("%s accepts nothing for a moment: %s", forward.socket, failure)
            self._rest(forward, True)
            asyncio.get_running_loop().call_later(_REST, self._rest, forward, False)
            return
        for visitor in taken:
            forward.open += 1
            run.relays += 1
            task = asyncio.create_task(self._serve(forward, run, visitor))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if forward.open >= MOST:
            self._follow(forward)

    def _rest(self, forward: Forward, resting: bool) -> None:
        forward.resting = resting
        if self._table.get(forward.socket) is forward:
            self._follow(forward)

    async def _serve(self, forward: Forward, run: Run, visitor: sockets.socket) -> None:
        try:
            with visitor:
                child = run.take_probe() or await dial(run.port, run.ended)
                if child:
                    with child:
                        await relay(visitor, child, run.ended, _greeting(forward, run))
        finally:
            run.relays -= 1
            forward.open -= 1
            if self._table.get(forward.socket) is forward:
                self._follow(forward)


def _greeting(forward: Forward, run: Run) -> bytes:
    """Return what the child is to say to the connection that woke it, and to no other."""
    if forward.woken is None:
        return b""
    seconds = forward.woken()
    forward.woken = None
    return run.greeting.replace("{ms}", f"{seconds * 1000:.1f}").encode()
