"""Responses that would never end: event streams. When the drain is over they are ended properly.

The client sees a whole answer, and comes back to whoever serves now. Any other response that is
not finished by then is cut: half of a file must not pass for the whole.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

# Media types whose parts stand for themselves, each on lines of its own.
EVENTS = (b"text/event-stream", b"application/x-ndjson", b"application/jsonl")
RESTART: Message = {"type": "websocket.close", "code": 1012}
_END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


class Endless:
    """Knows the event streams that are open."""

    def __init__(self) -> None:
        self._open: dict[Stream, None] = {}

    def begin(self, send: Send, last: Message = _END) -> "Stream":
        """Return a stream that begins now; it is followed until it ends or is left.

        ``last`` is what ends it.
        """
        stream = Stream(send, self._open, last)
        self._open[stream] = None
        return stream

    async def end(self) -> None:
        """End every open stream."""
        for stream in list(self._open):
            await stream.end()


class Stream:
    """One stream: what is sent goes through it."""

    def __init__(self, send: Send, open_: dict["Stream", None], last: Message) -> None:
        self._send = send
        self._open = open_
        self._last = last
        self.ended = False

    async def send(self, message: Message) -> None:
        """Pass a message on. Raises OSError once it was ended here, as if the client had left."""
        if self.ended:
            raise OSError("the stream was ended: the service stops here")
        if message["type"] == self._last["type"] and not message.get("more_body", False):
            self.leave()
        await self._send(message)

    async def end(self) -> None:
        """End it as the application would."""
        self.leave()
        self.ended = True
        with suppress(OSError, RuntimeError):  # the client has left, or it has just ended
            await self._send(self._last)

    def leave(self) -> None:
        """Follow it no more."""
        self._open.pop(self, None)


def is_events(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether it is a stream of events of no announced length."""
    found = False
    for name, value in headers:
        field = name.lower()
        if field == b"content-length":
            return False
        if field == b"content-type":
            found = value.partition(b";")[0].strip().lower() in EVENTS
    return found
