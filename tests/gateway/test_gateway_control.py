"""The platform's own paths, while control comes and goes."""

import asyncio

import pytest

from tests.gateway.conftest import answer


@pytest.fixture
def asked(stage):
    """What control is asked; it hangs up on who comes first."""
    seen = []

    async def serve(request, reader, writer):
        seen.append((request.method, request.path))
        if len(seen) == 1:
            writer.close()
        else:
            writer.write(answer(b"answered"))

    stage.services[0].handler = serve
    return seen


async def test_a_question_that_control_takes_with_it_is_asked_again(stage, asked):
    assert (await stage.get("/api/status")).text == "answered"
    assert asked == [("GET", "/api/status")] * 2


async def test_a_wish_is_not_since_it_may_have_been_heard(stage, asked):
    head, _ = await stage.raw(
        b"POST /api/services HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
    )
    assert head.startswith("HTTP/1.1 503")
    assert asked == [("POST", "/api/services")]


async def test_an_idle_connection_to_control_is_closed_by_the_gateway(stage):
    """Were it closed by control, a request could be on its way at that very moment."""
    closed = asyncio.Event()

    async def serve(request, reader, writer):
        writer.write(answer(b"served"))
        await writer.drain()
        assert await reader.read() == b""
        closed.set()

    stage.services[0].handler = serve
    assert (await stage.get("/api/status")).text == "served"
    async with asyncio.timeout(5):
        await closed.wait()
