"""What is told of a canary's requests that got no answer: who left, and who waits."""

import asyncio
import dataclasses

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import unix_serve

from codestore.domain.canary import Trial
from codestore.domain.routing import Endpoint, Limits, Split
from tests.gateway.looking import at_rest

A = "a" * 32


async def led(stage, make_route, *addresses, **limits):
    """Lead all requests to revision 2 there."""
    split = Split(100, 2, tuple(Endpoint(address) for address in addresses))
    route = make_route("a", "unix:/nobody", limits=Limits(**limits))
    await stage.gateway.publish(dataclasses.replace(route, split=split))


async def tried(stage):
    return dataclasses.replace(await stage.gateway.traffic.split(A, 2), run="")


async def asking(stage, path):
    reader, writer = await stage.streams()
    writer.write(f"GET /{A}/{path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    return reader, writer


async def test_who_has_no_answer_waits_and_then_has_left(stage, moody, make_route):
    await led(stage, make_route, moody.address)
    _, writer = await asking(stage, "silent")
    await moody.arrived.get()
    assert await tried(stage) == Trial(waiting=1)
    writer.close()
    await at_rest(stage)
    assert await tried(stage) == Trial(left=1)
    assert (await stage.client.get(f"/{A}/200")).status_code == 200
    assert await tried(stage) == Trial(requests=1, left=1)


async def test_who_waits_for_too_long_is_answered_and_has_failed(stage, moody, make_route):
    await led(stage, make_route, moody.address, idle_timeout=0.1)
    assert (await stage.client.get(f"/{A}/silent")).status_code == 504
    assert await tried(stage) == Trial(requests=1, failures=1)


async def test_a_stream_is_answered_while_it_is_open_and_when_its_reader_leaves(stage, make_route):
    async def events(request, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        await reader.read()

    service = await stage.service("a", events)
    await led(stage, make_route, service.address)
    reader, writer = await asking(stage, "events")
    assert await reader.readuntil(b"\r\n\r\n")
    assert await tried(stage) == Trial(requests=1)
    writer.close()
    await at_rest(stage)
    assert await tried(stage) == Trial(requests=1)


async def test_a_websocket_is_answered_when_it_opens(stage, make_route):
    async def quiet(socket):
        await socket.wait_closed()

    async with unix_serve(quiet, str(stage.folder / "ws")):
        await led(stage, make_route, f"unix:{stage.folder}/ws")
        async with connect(f"ws://127.0.0.1:{stage.settings.port}/{A}/x", proxy=None):
            assert await tried(stage) == Trial(requests=1)
        await at_rest(stage)
        assert await tried(stage) == Trial(requests=1)


async def test_who_was_answered_at_a_second_try_has_not_left(stage, make_route):
    service = await stage.service("a", tcp=True)
    await led(stage, make_route, service.address, "tcp://127.0.0.1:1")
    seen = [(await stage.client.get(f"/{A}/x")).status_code for _ in range(40)]
    assert await tried(stage) == Trial(requests=40, failures=seen.count(503))


async def test_one_whose_connection_was_closed_and_who_was_answered_at_another_has_not_left(
    stage, make_route
):
    """An instance that closes an idle connection just as it is used again."""

    async def once(request, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.transport.abort()

    service = await stage.service("a", once)
    await led(stage, make_route, service.address)
    answers = await asyncio.gather(*(stage.client.get(f"/{A}/x") for _ in range(300)))
    failures = sum(answer.status_code != 200 for answer in answers)
    assert await tried(stage) == Trial(requests=300, failures=failures)


async def test_who_was_one_too_many_has_not_left(stage, moody, make_route):
    await led(stage, make_route, moody.address, max_requests=1)
    slow = asyncio.create_task(stage.client.get(f"/{A}/slow"))
    await moody.arrived.get()
    for _ in range(3):
        assert (await stage.client.get(f"/{A}/200")).status_code == 429
    assert await tried(stage) == Trial(waiting=1)
    moody.go_on.set()
    await slow
    assert await tried(stage) == Trial(requests=1)


@pytest.mark.parametrize("path", ["cut", "junk", "half"])
async def test_what_goes_wrong_with_an_answer_is_told_once(stage, moody, make_route, path):
    await led(stage, make_route, moody.address)
    reader, writer = await asking(stage, path)
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await at_rest(stage)
    assert await tried(stage) == Trial(requests=1, failures=path != "half")


async def test_a_trial_names_its_run(stage, make_route):
    await led(stage, make_route)
    first = await stage.gateway.traffic.split(A, 2)
    assert first.run and first == await stage.gateway.traffic.split(A, 2)
