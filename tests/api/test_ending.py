"""The end of the platform does not wait for those who only listen to it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from codestore.gateway.clusters import UPSTREAM_IDLE_SECONDS
from codestore.wiring.listening import Server

LONG = 600  # seconds that the end would take if it waited
PATIENCE = 30.0
MORE = asyncio.Event()

app = FastAPI()


@app.get("/events")
async def events() -> StreamingResponse:
    async def follow() -> AsyncIterator[bytes]:
        yield b"data: begun\n\n"
        await asyncio.Event().wait()

    return StreamingResponse(follow(), media_type="text/event-stream")


@app.get("/slow")
async def slow() -> StreamingResponse:
    async def answer() -> AsyncIterator[bytes]:
        yield b"first half, "
        await MORE.wait()
        yield b"second half"

    return StreamingResponse(answer(), media_type="text/plain")


@asynccontextmanager
async def served(place: Path) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    server = Server(app, grace=LONG)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        running = asyncio.create_task(server.serve(sockets=[listener]))
        transport = httpx.AsyncHTTPTransport(uds=str(place))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as web:
            yield server, web
        async with asyncio.timeout(PATIENCE):
            await running


async def test_an_event_stream_ends_well_and_at_once(tmp_path: Path) -> None:
    async with served(tmp_path / "api") as (server, web), web.stream("GET", "/events") as answer:
        pieces = answer.aiter_bytes()
        assert await anext(pieces) == b"data: begun\n\n"
        server.should_exit = True
        async with asyncio.timeout(PATIENCE):
            assert [piece async for piece in pieces] == []


async def test_any_other_answer_is_finished(tmp_path: Path) -> None:
    MORE.clear()
    async with served(tmp_path / "api") as (server, web), web.stream("GET", "/slow") as answer:
        pieces = answer.aiter_bytes()
        assert await anext(pieces) == b"first half, "
        async with web.stream("GET", "/events") as events:
            server.should_exit = True
            async with asyncio.timeout(PATIENCE):
                await events.aread()
        MORE.set()
        assert [piece async for piece in pieces] == [b"second half"]


async def test_a_connection_that_rests_is_left_to_the_gateway(tmp_path: Path) -> None:
    """Who closes it must be the one who would send on it."""
    async with served(tmp_path / "api") as (server, _):
        assert server.config.timeout_keep_alive >= 60 * UPSTREAM_IDLE_SECONDS
        server.should_exit = True
