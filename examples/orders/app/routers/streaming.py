"""Answers that take their time: server-sent events, a WebSocket, a body sent back as it comes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, WebSocket
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

router = APIRouter(tags=["streaming"])


@router.get("/stream")
async def stream(
    n: Annotated[int, Query(ge=1, le=100_000)] = 10,
    seconds: Annotated[float, Query(ge=0, le=60)] = 0.1,
) -> StreamingResponse:
    """`n` events, `seconds` apart."""

    async def ticks() -> AsyncIterator[str]:
        for number in range(n):
            yield f"event: tick\ndata: {number}\n\n"
            await asyncio.sleep(seconds)

    return StreamingResponse(
        ticks(), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


class BothWays(StreamingResponse):
    """Sends while the request's body is still being read.

    A StreamingResponse listens for the client's disconnect meanwhile, and what it hears are the
    chunks of the body.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.stream_response(send)


@router.post("/echo")
async def echo(request: Request) -> BothWays:
    media_type = request.headers.get("content-type", "application/octet-stream")
    return BothWays(request.stream(), media_type=media_type)


@router.websocket("/ws")
async def talk(socket: WebSocket) -> None:
    await socket.accept()
    async for message in socket.iter_text():
        await socket.send_text(message)
