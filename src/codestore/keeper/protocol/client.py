"""How the rest of the platform speaks to the keeper."""

import asyncio
import itertools
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from codestore.keeper.errors import DISCONNECTED, TIMEOUT, TOO_LONG, KeeperError
from codestore.keeper.protocol import codec, messages
from codestore.keeper.protocol.connection import Connection, refusal
from codestore.keeper.protocol.events import EventStream
from codestore.keeper.protocol.messages import Listing, Request
from codestore.keeper.spec import ChildSpec

PATIENCE: Final = 10.0
"""Seconds to wait for an answer, unless told otherwise."""


class KeeperClient:
    """One connection to the keeper; make it with ``connect``, use it from one event loop.

    Every method raises ``KeeperError``: with the keeper's code, or ``timeout`` (the operation may
    still have happened; all are safe to repeat), or ``disconnected`` (connect again). Requests may
    overlap: the keeper begins them in the order of the calls.
    """

    def __init__(self, path: Path, connection: Connection, patience: float) -> None:
        self._path = path
        self._connection = connection
        self._patience = patience
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[codec.Message]] = {}
        self._lost: KeeperError | None = None
        self._answers = asyncio.create_task(self._take_answers(), name="keeper answers")

    @classmethod
    async def connect(cls, path: Path, patience: float = PATIENCE) -> Self:
        """Connect to ``keeper.sock``; ``patience`` is for this and for each request, in seconds.

        Raises ``KeeperError``: ``disconnected`` when nobody listens there, ``timeout``.
        """
        return cls(path, await Connection.open(path, patience), patience)

    async def close(self) -> None:
        """Hang up. Requests without an answer raise ``KeeperError(disconnected)``. Idempotent."""
        self._answers.cancel()
        await asyncio.wait([self._answers])
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.close()

    async def listen(self, name: str, backlog: int = 4096) -> str:
        """Have the keeper hold the listening socket ``name``; return its path. Idempotent."""
        return codec.from_json(str, await self._ask(messages.Listen(name, backlog)))

    async def close_socket(self, name: str) -> None:
        """Have the socket closed and unlinked. Idempotent."""
        await self._ask(messages.Close(name))

    async def watch(
        self, name: str, spawn: ChildSpec | None = None, label: Mapping[str, str] | None = None
    ) -> None:
        """Have one ``Pending`` sent, and ``spawn`` started, when a connection waits.

        Replaces a former watch of the socket. Raises ``not-found``.
        """
        await self._ask(messages.Watch(name, spawn, label or {}))

    async def unwatch(self, name: str) -> None:
        """Call the watch off. Idempotent. Raises ``not-found``."""
        await self._ask(messages.Unwatch(name))

    async def forward(self, socket: str, child: str | None) -> None:
        """Have connections of ``socket`` handed on to the port of ``child``, or to nobody more.

        They wait in the socket's queue until such a child is ready. Raises ``not-found``.
        """
        await self._ask(messages.Forward(socket, child))

    async def refuse(self, socket: str, answer: str) -> int:
        """Have ``answer`` sent to whoever waits at ``socket`` now; return how many that were.

        Raises ``not-found``.
        """
        return codec.from_json(int, await self._ask(messages.Refuse(socket, answer)))

    async def spawn(self, spec: ChildSpec) -> int:
        """Start a child, return its pid; that of the one of this name while it runs.

        Raises ``exec`` with the system's reason when its program cannot be started, ``not-found``
        for an unknown socket, ``closing`` while the keeper shuts down.
        """
        return codec.from_json(int, await self._ask(messages.Spawn(spec)))

    async def signal(self, name: str, signal: str, group: bool = True, cause: str = "") -> None:
        """Send ``SIGHUP`` or another to a child or its group; ``cause`` is why it ends by that.

        Raises ``not-found``, ``not-running``.
        """
        await self._ask(messages.Signal(name, signal, group, cause))

    async def freeze(self, name: str, socket: str, queue: int = messages.BACKLOG) -> bool:
        """Freeze a child until somebody connects to ``socket``; tell whether it is frozen.

        As long as it is, at most ``queue`` connections may wait there.
        It is not when anybody is connected. Raises ``not-found``, ``not-running``.
        """
        return codec.from_json(bool, await self._ask(messages.Freeze(name, socket, queue)))

    async def thaw(self, name: str) -> None:
        """Let a frozen child run on. Idempotent. Raises ``not-found``."""
        await self._ask(messages.Thaw(name))

    async def stop(self, name: str, grace: float = 10.0, frozen: bool = False) -> bool:
        """Ask a child to stop, have its session killed after ``grace`` seconds, end its restarts.

        Returns at once: whether an ``Exited`` will follow. Raises ``not-found``, and with
        ``frozen``, ``awake`` when the child is not frozen at this moment.
        """
        return codec.from_json(bool, await self._ask(messages.Stop(name, grace, frozen)))

    async def forget(self, name: str) -> None:
        """Drop the record of an ended child. Idempotent. Raises ``running``."""
        await self._ask(messages.Forget(name))

    async def relabel(self, name: str, label: Mapping[str, str]) -> None:
        """Have another label remembered of a child. Raises ``not-found``."""
        await self._ask(messages.Relabel(name, label))

    async def list(self) -> Listing:
        """Return all children and sockets, by name."""
        return codec.from_json(Listing, await self._ask(messages.List()))

    async def shutdown(self, grace: float = 10.0) -> None:
        """Have the keeper end everything and itself, each order within ``grace`` seconds.

        Returns at once; the end of the connection tells that it is done.
        """
        await self._ask(messages.Shutdown(grace))

    def events(self) -> EventStream:
        """Return what happens from now on, over a connection of its own.

        ``async with client.events() as events: async for event in events: ...`` has subscribed
        when the block is entered, so nothing that is done inside it is missed.
        """
        return EventStream(self._path, self._patience)

    async def _ask(self, request: Request) -> Any:
        number = next(self._numbers)
        line = codec.encode_request(number, request)
        if len(line) > codec.MAX_LINE:
            raise KeeperError(TOO_LONG, f"a request has at most {codec.MAX_LINE} bytes")
        if self._lost:
            raise KeeperError(self._lost.code, self._lost.message)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._connection.send(line)
            async with asyncio.timeout(self._patience):
                message = await answer
        except TimeoutError:
            raise KeeperError(TIMEOUT, f"no answer within {self._patience} s") from None
        finally:
            del self._waiting[number]
        error = refusal(message)
        if error:
            raise error
        return message.get("ok")

    async def _take_answers(self) -> None:
        try:
            while True:
                message = await self._connection.receive()
                answer = self._waiting.get(message.get("id") or 0)
                if answer and not answer.done():  # else the caller has given up
                    answer.set_result(message)
        except KeeperError as lost:
            self._lose(lost)
        except asyncio.CancelledError:
            self._lose(KeeperError(DISCONNECTED, "the client was closed"))
            raise

    def _lose(self, lost: KeeperError) -> None:
        self._lost = lost
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(lost)
