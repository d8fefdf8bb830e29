"""Limits: what is too often, too much at once, too large or too slow is refused in the gateway."""

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import unix_serve

from codestore.domain.routing import BURST, Endpoint, Limits, Split
from tests.gateway.conftest import answer, read_body
from tests.gateway.test_gateway_rules import check_problem

A, B = "a" * 32, "b" * 32
PART = b"0123456789abcdef" * 64  # 1 KiB
PATIENCE = 20.0
RARELY = Limits(rate=0.5)  # two at once, and then one every two seconds


class Slow:
    """A service that answers when it is told to, and knows how many it has at once."""

    def __init__(self):
        self.now = self.most = self.started = 0
        self.go_on = asyncio.Event()
        self.arrived = asyncio.Queue()

    async def __call__(self, request, reader, writer):
        self.now += 1
        self.most = max(self.most, self.now)
        await self.arrived.put(request)
        try:
            await self.go_on.wait()
        finally:
            self.now -= 1
        writer.write(answer(b""))


async def echo(request, reader, writer):
    body = b"".join([part async for part in read_body(request, reader)])
    writer.write(answer(body))


def statuses(responses):
    return [response.status_code for response in responses]


async def test_whoever_calls_too_often_is_refused_before_the_service_hears_of_it(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address, limits=RARELY))
    found = [await stage.client.get(f"/{A}/x") for _ in range(5)]
    assert statuses(found) == [200, 200, 429, 429, 429]
    assert len(service.requests) == 2
    problem = check_problem(found[-1], 429, "too_many_requests")
    assert "more often" in problem["detail"]
    assert found[-1].headers["retry-after"] == "1"


async def test_as_time_passes_there_is_room_again(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address, limits=Limits(rate=4)))
    loop = asyncio.get_running_loop()
    began, passed = loop.time(), 0
    async with asyncio.timeout(PATIENCE):
        while passed < 4 * BURST + 5:
            passed += (await stage.client.get(f"/{A}/x")).status_code == 200
    assert loop.time() - began > 0.9


@pytest.mark.parametrize("workers", [2])
async def test_all_ways_in_share_one_rate(stage, make_route, workers):
    services = [await stage.service(name) for name in ("old", "new")]
    old, new = (Endpoint(service.address) for service in services)
    split = Split(50, 2, (new,))
    route = make_route("a", old.address, keys=("k1", "k2"), limits=RARELY, split=split)
    await stage.gateway.publish(route)
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def ask(number):  # each over a connection of its own: some to each worker
        path = (f"/{A}", f"/{A}/x")[number % 2]
        return await stage.get(path, x_user_authorization=f"k{1 + number % 3 % 2}")

    found = statuses(await asyncio.gather(*(ask(number) for number in range(60))))
    assert 2 <= found.count(200) <= 2 + 0.5 * (loop.time() - began) + 1
    assert found.count(200) + found.count(429) == 60
    assert sum(len(service.requests) for service in services) == found.count(200)


async def test_a_wrong_key_uses_up_nothing_of_the_rate(stage, make_route):
    service = await stage.service("a")
    limits = Limits(rate=0.5, max_body=10)
    await stage.gateway.publish(make_route("a", service.address, keys=("k",), limits=limits))
    for _ in range(20):
        check_problem(await stage.get(f"/{A}/x"), 401, "key_missing")
        check_problem(await stage.get(f"/{A}/x", x_user_authorization="x"), 403, "wrong_key")
    key = {"x-user-authorization": "k"}
    for _ in range(5):
        response = await stage.client.post(f"/{A}/x", headers=key, content=b"x" * 11)
        check_problem(response, 413, "too_large")
    found = [await stage.client.get(f"/{A}/x", headers=key) for _ in range(3)]
    assert statuses(found) == [200, 200, 429]


async def test_a_rate_is_the_deployments_own(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address, limits=RARELY))
    await stage.gateway.publish(make_route("b", service.address))
    assert [await stage.client.get(f"/{A}/x") for _ in range(3)][-1].status_code == 429
    for _ in range(20):
        assert (await stage.client.get(f"/{B}/x")).status_code == 200
    await stage.gateway.publish(make_route("a", service.address))
    for _ in range(20):
        assert (await stage.client.get(f"/{A}/x")).status_code == 200


async def test_one_request_too_many_at_once_is_refused_until_one_has_ended(stage, make_route):
    slow = Slow()
    service = await stage.service("a", slow)
    limits = Limits(max_requests=3)
    await stage.gateway.publish(make_route("a", service.address, limits=limits))
    under_way = [asyncio.create_task(stage.client.get(f"/{A}/x")) for _ in range(3)]
    for _ in under_way:
        await slow.arrived.get()
    refused = await stage.client.get(f"/{A}/x")
    assert "at once" in check_problem(refused, 429, "too_busy")["detail"]
    assert refused.headers["retry-after"] == "1"
    slow.go_on.set()
    assert statuses(await asyncio.gather(*under_way)) == [200] * 3
    assert (await stage.client.get(f"/{A}/x")).status_code == 200
    assert slow.most == 3
    assert len(service.requests) == 4


@pytest.mark.parametrize("workers", [2])
async def test_the_workers_of_envoy_count_requests_together(stage, make_route, workers):
    slow = Slow()
    service = await stage.service("a", slow)
    limits = Limits(max_requests=10)
    await stage.gateway.publish(make_route("a", service.address, limits=limits))
    asked = [asyncio.create_task(stage.get(f"/{A}/x")) for _ in range(60)]
    async with asyncio.timeout(PATIENCE):
        for _ in range(10):
            await slow.arrived.get()
        while sum(task.done() for task in asked) < 60 - 10 - (workers - 1):
            await asyncio.sleep(0.01)
    slow.go_on.set()
    found = statuses(await asyncio.gather(*asked))
    # They do not wait for each other, so one may slip through.
    assert 10 <= slow.most <= 10 + workers - 1
    assert found.count(429) == 60 - found.count(200) >= 49


async def test_an_open_websocket_is_a_request_under_way(stage, make_route):
    async def quiet(socket):
        await socket.wait_closed()

    async with unix_serve(quiet, str(stage.folder / "ws")):
        limits = Limits(max_requests=1)
        await stage.gateway.publish(make_route("a", f"unix:{stage.folder}/ws", limits=limits))
        async with connect(f"ws://127.0.0.1:{stage.settings.port}/{A}/x", proxy=None):
            check_problem(await stage.get(f"/{A}/x"), 429, "too_busy")
        async with asyncio.timeout(PATIENCE):
            while (await stage.get(f"/{A}/x")).status_code == 429:
                await asyncio.sleep(0.01)


async def test_opening_a_websocket_counts_for_the_rate(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address, limits=RARELY))
    upgrade = {"connection": "upgrade", "upgrade": "websocket"}
    found = [await stage.get(f"/{A}/x", **upgrade) for _ in range(3)]
    check_problem(found[-1], 429, "too_many_requests")


async def test_a_service_that_does_not_answer_in_time_is_told_of_as_such(stage, make_route):
    slow = Slow()
    service = await stage.service("a", slow)
    limits = Limits(idle_timeout=0.2)
    await stage.gateway.publish(make_route("a", service.address, limits=limits))
    response = await stage.get(f"/{A}/x")
    assert check_problem(response, 504, "timeout")["title"] == "The service did not answer in time"
    assert response.headers["retry-after"] == "10"


async def test_a_client_that_sends_slowly_is_not_taken_for_a_silent_service(stage, make_route):
    service = await stage.service("a", echo)
    limits = Limits(idle_timeout=0.2)
    await stage.gateway.publish(make_route("a", service.address, limits=limits))

    async def body():
        for _ in range(6):
            yield b"x"
            await asyncio.sleep(0.1)

    response = await stage.client.post(f"/{A}/x", content=body())
    assert response.content == b"x" * 6
