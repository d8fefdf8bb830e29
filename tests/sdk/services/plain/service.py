"""A plain ASGI application that shows what its server does."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await echo(receive, send)
    elif scope["path"] == "/ticks":
        await ticks(receive, send)
    elif scope["path"] == "/events":
        await ticks(receive, send, b"text/event-stream; charset=utf-8")
    elif scope["path"] == "/stubborn":
        await stubborn(receive, send)
    elif scope["path"] == "/fail":
        raise RuntimeError("the application broke")
    else:
        await read(receive)
        names = ("scheme", "client")
        await answer(send, {"pid": os.getpid(), **{name: scope[name] for name in names}})


async def lifespan(receive: Receive, send: Send) -> None:
    await receive()
    print("started")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("stopped")
    await send({"type": "lifespan.shutdown.complete"})


async def read(receive: Receive) -> None:
    """Read a request's body to its end: answering earlier, a server that closes cuts it off."""
    while (await receive()).get("more_body"):
        print("reading")


async def answer(send: Send, body: object) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


async def ticks(receive: Receive, send: Send, media: bytes = b"text/plain") -> None:
    """Stream for ever, or until the client is gone."""
    await receive()
    gone = asyncio.ensure_future(receive())
    headers = [(b"content-type", media)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while not gone.done():
        await send({"type": "http.response.body", "body": b"tick\n", "more_body": True})
        await asyncio.wait([gone], timeout=0.02)
    print("stream ended:", gone.result()["type"])


async def stubborn(receive: Receive, send: Send) -> None:
    """Send events for ever, and look at nothing."""
    await receive()
    headers = [(b"Content-Type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while True:
        await send({"type": "http.response.body", "body": b"data: x\n\n", "more_body": True})
        await asyncio.sleep(0.02)


async def echo(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
    print("socket ended:", message["code"])
