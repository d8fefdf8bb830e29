"""Since when nobody has called: what counts, what does not, and a service that sleeps behind it."""

import asyncio
import dataclasses
from datetime import datetime

from websockets.asyncio.client import connect
from websockets.asyncio.server import unix_serve

A = "a" * 32
WITHIN = 0.1
PATIENCE = 10.0


async def idle(stage) -> datetime:
    """Since when there was no request, as soon as that is known."""
    async with asyncio.timeout(PATIENCE):
        while (since := stage.gateway.traffic.idle_since(A, WITHIN)) is None:
            await asyncio.sleep(0.02)  # it is read from Envoy now and then, and told to nobody
        return since


async def busy(stage) -> None:
    """Return when a request is seen to be under way."""
    async with asyncio.timeout(PATIENCE):
        while stage.gateway.traffic.idle_since(A, WITHIN) is not None:
            await asyncio.sleep(0.02)


async def later_than(stage, before: datetime) -> datetime:
    async with asyncio.timeout(PATIENCE):
        while (since := await idle(stage)) <= before:
            await asyncio.sleep(0.02)
        return since


async def test_a_request_counts_and_nothing_that_the_gateway_answers(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address, keys=("right",)))
    first = await idle(stage)
    for path, headers in (
        (f"/{A}/x", {}),
        (f"/{A}/x", {"x-user-authorization": "wrong"}),
        ("/unknown", {}),
        ("/", {}),
        (f"/{'b' * 32}/x", {}),
    ):
        await stage.client.get(path, headers=headers)
    assert service.requests == []
    # A reading is made every 0.1 s; the next accepted request shows that there were some.
    await asyncio.sleep(3 * WITHIN)
    assert await idle(stage) == first
    answer = await stage.client.get(f"/{A}/x", headers={"x-user-authorization": "right"})
    assert answer.status_code == 200
    assert await later_than(stage, first) > first


async def test_a_stream_counts_as_long_as_it_lasts(stage, make_route):
    end = asyncio.Event()

    async def stream(request, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
        await writer.drain()
        await end.wait()
        writer.write(b"0\r\n\r\n")

    service = await stage.service("a", stream)
    await stage.gateway.publish(make_route("a", service.address))
    await idle(stage)
    async with stage.client.stream("GET", f"/{A}/events"):
        await busy(stage)
        await asyncio.sleep(3 * WITHIN)
        assert stage.gateway.traffic.idle_since(A, WITHIN) is None
        end.set()
    await idle(stage)


async def test_an_open_websocket_counts_although_nothing_is_said(stage, make_route):
    async def quiet(socket):
        await socket.wait_closed()

    path = stage.folder / "ws.sock"
    async with unix_serve(quiet, str(path)):
        await stage.gateway.publish(make_route("a", f"unix:{path}"))
        await idle(stage)
        async with connect(f"ws://127.0.0.1:{stage.settings.port}/{A}/socket"):
            await busy(stage)
            await asyncio.sleep(3 * WITHIN)
            assert stage.gateway.traffic.idle_since(A, WITHIN) is None
        await idle(stage)


async def test_touching_is_as_good_as_a_request(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address))
    first = await idle(stage)
    stage.gateway.traffic.touch(A)
    assert await idle(stage) > first


async def test_an_envoy_that_does_not_answer_lets_nobody_sleep(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address))
    await idle(stage)
    assert stage.envoy is not None
    stage.envoy.kill()
    await busy(stage)


async def test_who_wants_to_know_more_closely_need_not_wait_for_the_others(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address))
    async with asyncio.timeout(PATIENCE):
        while (since := stage.gateway.traffic.idle_since(A, 3600)) is None:
            await asyncio.sleep(0.02)
    await stage.client.get(f"/{A}/x")
    assert await later_than(stage, since) > since


async def test_the_first_request_to_another_revision_is_noticed(stage, make_route):
    """Although it is the first one of its cluster, as the last one seen was of the other."""
    service = await stage.service("a")
    route = make_route("a", service.address)
    await stage.gateway.publish(route)
    await stage.client.get(f"/{A}/x")
    async with asyncio.timeout(PATIENCE):
        while (since := stage.gateway.traffic.idle_since(A, 3600)) is None:
            await asyncio.sleep(0.02)
    await stage.gateway.publish(dataclasses.replace(route, revision=1))
    await stage.client.get(f"/{A}/x")
    assert await later_than(stage, since) > since
