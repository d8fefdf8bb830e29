"""A share of the requests goes to another revision: how large it is, how it comes and goes."""

import asyncio
import dataclasses
import socket

import pytest

from codestore.domain.routing import Endpoint, Split
from codestore.gateway.resources import resources
from codestore.gateway.snapshot import Kind
from tests.gateway.conftest import Service
from tests.gateway.loading import grown, load

A = "a" * 32


def led(route, percent, revision, *services, draining=()):
    """The same route with a split."""
    endpoints = [Endpoint(each.address) for each in services]
    endpoints += [Endpoint(each.address, draining=True) for each in draining]
    return dataclasses.replace(route, split=Split(percent, revision, tuple(endpoints)))


def answered(seen, *names):
    """How many of the answers came from these services."""
    return sum(any(f'"{name}"'.encode() in body for name in names) for _, body in seen)


async def asked(stage, count, path=f"/{A}/x"):
    return [
        ((response := await stage.client.get(path)).status_code, response.content)
        for _ in range(count)
    ]


@pytest.mark.parametrize("path", [f"/{A}/x", f"/{A}"], ids=["below", "root"])
async def test_a_split_gets_its_share(stage, make_route, path):
    old, new = await stage.service("old"), await stage.service("new")
    route = make_route("a", old.address)
    # Of 400 requests five standard deviations are 43 at most.
    for percent, least, most in [(0, 0, 0), (25, 57, 143), (100, 400, 400)]:
        await stage.gateway.publish(led(route, percent, 2, new))
        assert least <= answered(await asked(stage, 400, path), "new") <= most


async def test_a_split_asks_for_the_same_keys(stage, make_route):
    old, new = await stage.service("old"), await stage.service("new")
    await stage.gateway.publish(led(make_route("a", old.address, keys=("k",)), 100, 2, new))
    assert (await stage.get(f"/{A}/x")).status_code == 401
    told = (await stage.get(f"/{A}/x?y", x_user_authorization="k")).json()
    assert (told["service"], told["path"]) == ("new", "/x?y")
    assert told["headers"]["x-forwarded-prefix"] == f"/{A}"


@pytest.mark.parametrize("tcp", [True, False], ids=["tcp", "unix"])
async def test_the_endpoints_of_a_split_share_its_requests(stage, make_route, tcp):
    old = await stage.service("old")
    new = [await stage.service(f"new{number}", tcp=tcp) for number in range(3)]
    await stage.gateway.publish(led(make_route("a", old.address), 100, 2, *new))
    seen = await asked(stage, 60)
    assert all(answered(seen, service.name) > 5 for service in new)
    await stage.gateway.publish(led(make_route("a", old.address), 100, 2, new[0], draining=new[1:]))
    assert answered(await asked(stage, 20), "new0") == 20


async def test_a_split_where_nobody_takes_requests_gets_none(stage, make_route):
    old, new = await stage.service("old"), await stage.service("new")
    route = make_route("a", old.address)
    for split in (led(route, 100, 2), led(route, 100, 2, draining=(new,))):
        await stage.gateway.publish(split)
        assert answered(await asked(stage, 10), "old") == 10


async def test_while_nobody_accepts_beside_a_split_its_share_is_answered_and_the_rest_waits(
    stage, make_route
):
    """All the old ones have ended at once, and are started again."""
    shared = socket.socket(socket.AF_UNIX)
    shared.bind(str(stage.folder / "shared"))
    shared.listen(100)
    new, old = await stage.service("new"), Service("old")
    route = make_route("a", f"unix:{stage.folder}/shared")
    await stage.gateway.publish(led(route, 50, 2, new))
    asked = [asyncio.create_task(stage.client.get(f"/{A}/x")) for _ in range(40)]
    coming = asyncio.as_completed(asked)
    for _ in range(5):
        assert (await next(coming)).json()["service"] == "new"
    await old.listen(shared)
    answers = [await each for each in coming]
    assert {answer.status_code for answer in answers} == {200}
    assert "old" in {answer.json()["service"] for answer in answers}


async def test_each_canary_is_counted_from_zero(stage, make_route):
    old, new = await stage.service("old"), await stage.service("new")
    route = make_route("a", old.address)
    traffic = stage.gateway.traffic
    await stage.gateway.publish(led(route, 100, 2, new))
    assert (await traffic.split(A, 2)).requests == 0
    await asked(stage, 3)
    assert (await traffic.split(A, 2)).requests == 3
    await stage.gateway.publish(led(route, 100, 3, new))
    await asked(stage, 1)
    assert (await traffic.split(A, 3)).requests == 1
    assert (await traffic.split(A, 2)).requests == 0
    assert (await traffic.split("b" * 32, 3)).requests == 0


def test_only_what_changes_about_a_split_is_told_to_envoy(make_route):
    """A cluster that is told again is another one to Envoy: with new connections and counters."""

    def told(route):
        return {(each.kind, each.name): each.version for each in resources(route)}

    def changed(before, after):
        old, new = told(before), told(after)
        return {key for key in old | new if old.get(key) != new.get(key)}

    route = make_route("a", "unix:/old")
    split = dataclasses.replace(route, split=Split(5, 2, (Endpoint("unix:/new"),)))
    more = dataclasses.replace(route, split=Split(25, 2, (Endpoint("unix:/new"),)))
    wider = dataclasses.replace(
        route, split=Split(25, 2, (Endpoint("unix:/new"), Endpoint("unix:/newer")))
    )
    scope, name = (Kind.SCOPE, A), f"{A}-2"
    appeared = {scope, (Kind.CLUSTER, name), (Kind.ENDPOINTS, name)}
    assert changed(route, split) == appeared
    assert changed(split, more) == {scope}
    assert changed(more, wider) == {(Kind.ENDPOINTS, name)}
    assert changed(wider, route) == appeared


@pytest.mark.parametrize("workers", [2])
async def test_a_split_comes_grows_moves_and_goes_under_load_without_a_failure(
    stage, make_route, workers
):
    old = await stage.service("old")
    new = [await stage.service(f"new{number}") for number in range(3)]
    new.append(await stage.service("new3", tcp=True))
    route = make_route("a", old.address)
    await stage.gateway.publish(route)
    async with load(stage, f"/{A}/x", connections=8) as seen:
        for revision in range(2, 10):
            counted = 0
            for percent, services in [
                (5, new[:1]),
                (25, new[:1]),
                (25, new[:2]),  # grows
                (60, new[1:3]),  # moves
                (60, new[3:]),
                (100, new),
            ]:
                await stage.gateway.publish(led(route, percent, revision, *services))
                await grown(seen, 40)
                tally = await stage.gateway.traffic.split(A, revision)
                assert tally.failures == 0
                assert tally.requests >= counted  # it did not begin anew
                counted = tally.requests
            assert counted >= 40
            route = dataclasses.replace(route, revision=revision)
            await stage.gateway.publish(route)  # it is let in, and its split goes
            await grown(seen, 40)
    assert {status for status, _ in seen} == {"200"}
    assert answered(seen, "new0", "new1", "new2", "new3") > 8 * 40


async def test_a_split_that_grows_keeps_its_counters_and_its_connections(stage, make_route):
    old = await stage.service("old")
    first, second = await stage.service("first"), await stage.service("second")
    route = make_route("a", old.address)
    await stage.gateway.publish(led(route, 100, 2, first))
    seen = await asked(stage, 10)
    assert first.connections == 1
    await stage.gateway.publish(led(route, 99, 2, first))
    await stage.gateway.publish(led(route, 100, 2, first, second))
    before = first.connections
    seen += await asked(stage, 30)
    assert first.connections == before == 1
    assert answered(seen[10:], "second") > 0
    assert (await stage.gateway.traffic.split(A, 2)).requests == 40


async def test_requests_under_way_end_in_peace_when_their_split_goes(stage, make_route):
    arrived, finish = asyncio.Queue(), asyncio.Event()

    async def slow(request, reader, writer):
        await arrived.put(request)
        await finish.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow")

    old, gone, new = [await stage.service(n, h) for n, h in [("o", None), ("g", slow), ("n", slow)]]
    route = make_route("a", old.address)
    await stage.gateway.publish(led(route, 100, 2, gone))
    under_way = [asyncio.create_task(stage.get(f"/{A}/x"))]
    await arrived.get()
    await stage.gateway.publish(led(route, 100, 2, new))  # their endpoint goes
    under_way.append(asyncio.create_task(stage.get(f"/{A}/x")))
    await arrived.get()
    await stage.gateway.publish(route)  # all of it goes
    assert (await stage.get(f"/{A}/x")).json()["service"] == "o"
    await stage.gateway.publish(make_route("a", unavailable="stopped"))
    finish.set()
    assert [response.text for response in await asyncio.gather(*under_way)] == ["slow", "slow"]
