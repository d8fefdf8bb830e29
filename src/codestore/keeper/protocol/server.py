"""Connections: lines in, answers and events out. Nobody who is slow or wrong holds up another."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

from codestore.keeper.errors import BAD_REQUEST, INTERNAL, SYSTEM, TOO_LONG, KeeperError
from codestore.keeper.protocol import codec
from codestore.keeper.protocol.messages import Event, Pending, Request, Subscribe

_log = logging.getLogger(__name__)

MAX_BACKLOG: Final = 1024 * 1024
"""Bytes of events that may wait for a subscriber; one that is slower is cut off."""
HUSH: Final = 0.04
"""Seconds for which events are held back when somebody is being woken."""
_AT_ONCE: Final = 256  # requests of one connection that are worked on together

Handler = Callable[[Request], Awaitable[object]]


class Subscribers:
    """The connections that hear of events. Their transports' buffers are the queues."""

    def __init__(self) -> None:
        self._writers: set[asyncio.StreamWriter] = set()
        self._held: list[Event] | None = None

    def add(self, writer: asyncio.StreamWriter) -> None:
        """Send every event from now on."""
        self._writers.add(writer)

    def discard(self, writer: asyncio.StreamWriter) -> None:
        """Send no more."""
        self._writers.discard(writer)

    def publish(self, event: Event) -> None:
        """Send an event to everybody, waiting for nobody.

        After a ``Pending`` all is held back for a moment, in its order: somebody is being called,
        and whoever hears of it would only take the processor from them.
        """
        if self._held is None and isinstance(event, Pending):
            self._held = []
            asyncio.get_running_loop().call_later(HUSH, self._release)
        if self._held is not None:
            self._held.append(event)
        else:
            self._send(event)

    def _release(self) -> None:
        held, self._held = self._held or [], None
        for event in held:
            self._send(event)

    def _send(self, event: Event) -> None:
        line = codec.encode_event(event)
        for writer in tuple(self._writers):
            if writer.transport.get_write_buffer_size() > MAX_BACKLOG:
                _log.warning("a subscriber is too slow and was cut off")
                self.discard(writer)
                writer.transport.abort()
            else:
                writer.write(line)


class Server:
    """Serves the protocol on a bound socket."""

    def __init__(self, handle: Handler, subscribers: Subscribers) -> None:
        self._handle = handle
        self._subscribers = subscribers
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[Any]] = {}
        self._server: asyncio.Server | None = None

    async def start(self, bound: socket.socket) -> None:
        """Listen: from here on the keeper is ready."""
        self._server = await asyncio.start_unix_server(
            self._serve, sock=bound, limit=codec.MAX_LINE
        )

    async def close(self, patience: float = 1.0) -> None:
        """Stop listening, send what is still to be sent for ``patience`` seconds, hang up."""
        if self._server:
            self._server.close()
        for writer in self._connections:
            writer.close()
        if self._connections:
            await asyncio.wait(self._connections.values(), timeout=patience)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        current = asyncio.current_task()
        if current:
            self._connections[writer] = current
        try:
            await self._converse(reader, writer)
        except ConnectionError:
            _log.debug("a connection was lost")
        finally:
            self._subscribers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self._connections.pop(writer, None)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        working: set[asyncio.Task[None]] = set()
        while True:
            try:
                line = await reader.readline()
            except ValueError:  # where the next line begins cannot be told
                refusal = KeeperError(TOO_LONG, f"a line has at most {codec.MAX_LINE} bytes")
                writer.write(_refused(None, refusal))
                return
            if not line.endswith(b"\n"):
                break
            task = asyncio.create_task(self._work(line, writer))
            working.add(task)
            task.add_done_callback(working.discard)
            if len(working) >= _AT_ONCE:
                await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
        if working:  # the other side may have closed its half only
            await asyncio.wait(working)

    async def _work(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        number = None
        try:
            message = codec.parse(line)
            number = _number(message)
            answer = await self._answer(codec.decode_request(message), writer)
            reply = codec.encode({"id": number, "ok": answer})
        except KeeperError as refusal:
            reply = _refused(number, refusal)
        except OSError as failure:
            reply = _refused(number, KeeperError(SYSTEM, str(failure)))
        except Exception as bug:  # the asker must not wait for ever, the keeper must not fall
            _log.exception("request failed")
            reply = _refused(number, KeeperError(INTERNAL, repr(bug)))
        if not writer.is_closing():
            writer.write(reply)
            with contextlib.suppress(ConnectionError):
                await writer.drain()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> object:
        if isinstance(request, Subscribe):
            self._subscribers.add(writer)
            return None
        return await self._handle(request)


def _number(message: codec.Message) -> int:
    number = message.get("id")
    if type(number) is not int:
        raise KeeperError(BAD_REQUEST, "a request needs an integer id")
    return number


def _refused(number: int | None, refusal: KeeperError) -> bytes:
    error = {"code": refusal.code, "message": refusal.message}
    return codec.encode({"id": number, "error": error})
