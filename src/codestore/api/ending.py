"""Answers without end, ended when the platform is: nobody waits for those who only listen."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HUNG_UP: Message = {"type": "http.disconnect"}
STREAM = b"text/event-stream"


class Streams:
    """An application whose event streams can be told to end: each, as if its client hung up."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._over = asyncio.Event()

    def end(self) -> None:
        """End every event stream, in good order: its client comes back for what follows."""
        self._over.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; what is read may become a stream."""
        if scope["type"] == "http" and scope["method"] == "GET":
            await _Answer(self._over, receive, send).by(self._app, scope)
        else:
            await self._app(scope, receive, send)


class _Answer:
    """One answer, which may turn out to be a stream."""

    def __init__(self, over: asyncio.Event, receive: Receive, send: Send) -> None:
        self._over, self._receive, self._send = over, receive, send
        self._streaming = False

    async def by(self, app: ASGIApp, scope: Scope) -> None:
        """Have an application give it; a stream that it was made to leave is ended properly."""
        await app(scope, self._hear, self._tell)
        if self._streaming:
            await self._send({"type": "http.response.body", "body": b""})

    async def _hear(self) -> Message:
        heard = asyncio.ensure_future(self._receive())
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait((heard, over), return_when=asyncio.FIRST_COMPLETED)
            return HUNG_UP if self._streaming and not heard.done() else await heard
        finally:
            heard.cancel()
            over.cancel()

    async def _tell(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = {name.lower(): value for name, value in message.get("headers", ())}
            self._streaming = headers.get(b"content-type", b"").startswith(STREAM)
        elif not message.get("more_body", False):
            self._streaming = False
        await self._send(message)
