"""What stands between uvicorn and an application: who calls is believed, and answers get more."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from codestore_sdk.endless import RESTART, Endless, Stream, is_events
from codestore_sdk.waking import Header, Wake

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CLOSE = (b"connection", b"close")
SCHEMES = {b"http": ("http", "ws"), b"https": ("https", "wss")}


class Responses:
    """Wraps an ASGI application to add to the headers of its responses.

    Once `closing`, those that begin ask to close. The first one after a wake tells what it took.
    `trust_proxy`: the gateway alone can call, so what it says of its client is true.
    """

    def __init__(self, app: Any, wake: Wake, *, trust_proxy: bool = False) -> None:
        self.app = app
        self.wake = wake
        self.trust_proxy = trust_proxy
        self.closing = False
        self.left = False
        self.endless = Endless()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> Any:
        """Serve one request, or pass on what is not HTTP untouched."""
        if scope["type"] == "lifespan":
            return await self._live(scope, receive, send)
        if self.trust_proxy:
            believe(scope)
        reply = Reply(self, send, self.wake.take() if self.wake.pending else None)
        try:
            return await self.app(scope, receive, reply)
        except OSError:
            if reply.stream is None or not reply.stream.ended:
                raise
        finally:
            if reply.stream is not None:
                reply.stream.leave()

    async def _live(self, scope: Message, receive: Receive, send: Send) -> Any:
        """Pass the lifespan on; who leaves in it has not merely no use for it."""
        try:
            return await self.app(scope, receive, send)
        except SystemExit:
            self.left = True
            raise


class Reply:
    """What one request is answered through. Called for each message, so it only passes on."""

    __slots__ = ("_added", "_pass_on", "_responses", "_send", "stream")

    def __init__(self, responses: Responses, send: Send, added: list[Header] | None) -> None:
        self._responses = responses
        self._send = self._pass_on = send
        self._added = added
        self.stream: Stream | None = None

    def __call__(self, message: Message) -> Awaitable[None]:
        """Send a message of the application's."""
        kind = message["type"]
        if kind == "http.response.start":
            message = self._begun(message)
        elif kind == "websocket.accept":
            return self._accept(message)
        return self._pass_on(message)

    def _begun(self, message: Message) -> Message:
        headers = message.get("headers", ())
        if is_events(headers):
            self._follow(self._responses.endless.begin(self._send))
        if self._responses.closing:
            return {**message, "headers": [*headers, *(self._added or ()), CLOSE]}
        return {**message, "headers": [*headers, *self._added]} if self._added else message

    async def _accept(self, message: Message) -> None:
        await self._send(message)
        self._follow(self._responses.endless.begin(self._send, RESTART))

    def _follow(self, stream: Stream) -> None:
        self.stream, self._pass_on = stream, stream.send


def believe(scope: Message) -> None:
    """Take the client and the scheme from X-Forwarded-For and -Proto.

    uvicorn has a middleware for it, which takes longer: it asks for each request who may be
    trusted. The headers' form is the gateway's own, but for who calls with no gateway at all.
    """
    for name, value in scope["headers"]:
        if name == b"x-forwarded-for":
            client = value.rpartition(b",")[2].strip()  # whom the gateway has seen itself
            scope["client"] = (client.decode("latin-1"), 0) if client else scope["client"]
        elif name == b"x-forwarded-proto" and value in SCHEMES:
            scope["scheme"] = SCHEMES[value][scope["type"] == "websocket"]
