"""The life of an instance: prove itself, accept, withdraw, drain, leave.

    starting ──► ready ◄──────► accepting          SIGUSR1: accept   SIGUSR2: withdraw
                   │                │
                   └──► draining ◄──┘ ──► gone      SIGTERM, SIGINT: drain; a second one: now

SIGCONT, after a freeze, changes no phase (see `waking`).

An instance that is ready answers on its private socket only. Accepting, it takes connections
from the shared socket too, side by side with other instances. Nothing here ever closes an idle
connection before the drain is over.

Users may be led to the private socket as well, so what comes there is work like any other. But
nobody else accepts from it: who waits there when the drain begins is let in.
"""

import asyncio
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from enum import Enum

from codestore_sdk.engine import Engine
from codestore_sdk.notify import Notifier
from codestore_sdk.sockets import Listeners

# How long shutting down may take after the drain, in seconds, before the process just ends.
LEAVE = 5.0
# How long who waits at the private socket is let in while more keep coming, in seconds.
LAST_CALL = 0.2


class Phase(Enum):
    """What was asked for last; the value is what STATUS tells."""

    READY = "ready"
    ACCEPTING = "accepting"
    DRAINING = "draining"


WISHES: dict[int, Phase] = {
    signal.SIGUSR1: Phase.ACCEPTING,
    signal.SIGUSR2: Phase.READY,
    signal.SIGTERM: Phase.DRAINING,
    signal.SIGINT: Phase.DRAINING,
}


class Life:
    """Lives through the phases as signals ask for them."""

    def __init__(
        self,
        engine: Engine,
        sockets: Listeners,
        notifier: Notifier,
        told_ready: Callable[[], None] = lambda: None,
        leaving: Callable[[], None] = lambda: None,
    ) -> None:
        """`told_ready` is called once, right after READY was sent, `leaving` after the drain."""
        self._engine = engine
        self._sockets = sockets
        self._notifier = notifier
        self._told_ready = told_ready
        self._leaving = leaving
        self._wish = Phase.READY
        self._wished = asyncio.Event()
        self._servers: dict[socket.socket, asyncio.AbstractServer] = {}

    async def run(self, drain: float, early: Iterable[int]) -> None:
        """Serve until asked to leave, then drain for at most `drain` seconds.

        `early` are signals that came before this was called. Raises StartError when the
        application's lifespan startup fails.
        """
        loop = asyncio.get_running_loop()
        for number in WISHES:
            loop.add_signal_handler(number, self._ask, number)
        self._engine.wake.notice_thaws()
        for number in early:
            self._ask(number)
        await self._engine.start()
        if self._wish is not Phase.DRAINING:
            await self._serve()
        await self._drain(drain)
        _leave_anyway()
        self._leaving()
        await self._engine.stop()

    def _ask(self, number: int) -> None:
        wish = WISHES[number]
        if self._wish is Phase.DRAINING:
            if wish is Phase.DRAINING:
                os._exit(128 + number)
            return
        self._wish = wish
        self._wished.set()

    async def _serve(self) -> None:
        await self._accept(self._sockets.private)
        phase = Phase.READY
        if self._wish is Phase.ACCEPTING:
            phase = self._wish
            await self._share(True)
        self._notifier.send("READY=1", f"STATUS={phase.value}")
        self._told_ready()
        while self._wish is not Phase.DRAINING:
            if self._wish is not phase:
                phase = self._wish
                await self._share(phase is Phase.ACCEPTING)
                self._notifier.send(f"STATUS={phase.value}")
            else:
                self._wished.clear()
                await self._wished.wait()

    async def _share(self, accept: bool) -> None:
        shared = self._sockets.shared
        if shared is None:
            return
        if accept:
            await self._accept(shared)
        else:
            self._refuse(shared)

    async def _drain(self, seconds: float) -> None:
        self._engine.last_responses()
        if self._sockets.shared in self._servers:
            self._refuse(self._sockets.shared)
        if self._sockets.private in self._servers:
            await self._let_in(self._sockets.private)
            self._refuse(self._sockets.private)
        self._notifier.send("STOPPING=1", f"STATUS={Phase.DRAINING.value}")
        try:
            async with asyncio.timeout(seconds):
                await self._engine.empty()
        except TimeoutError:
            await self._engine.hang_up()

    async def _let_in(self, listener: socket.socket) -> None:
        """Give the event loop turns until it has accepted everybody who waits."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LAST_CALL
        while _is_awaited(listener) and loop.time() < until:  # noqa: ASYNC110 (there is no event)
            await asyncio.sleep(0)

    async def _accept(self, listener: socket.socket) -> None:
        self._servers[listener] = await self._engine.accept(listener)

    def _refuse(self, listener: socket.socket) -> None:
        self._servers.pop(listener).close()


def _is_awaited(listener: socket.socket) -> bool:
    """Whether a connection waits to be accepted."""
    look = select.poll()
    look.register(listener, select.POLLIN)
    return bool(look.poll(0))


def _leave_anyway() -> None:
    """End the process after `LEAVE` seconds: a thread that never returns must not hold it."""

    def leave() -> None:
        print(f"still busy {LEAVE:g} s after the drain: leaving anyway", file=sys.stderr)
        os._exit(1)

    timer = threading.Timer(LEAVE, leave)
    timer.daemon = True
    timer.start()
