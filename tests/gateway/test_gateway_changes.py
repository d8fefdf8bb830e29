"""Changes under load, and what happens when one of the processes is gone."""

import asyncio
import dataclasses

import httpx
import pytest
from envoy.config.route.v3.scoped_route_pb2 import ScopedRouteConfiguration

from codestore.domain.faults import Fault
from codestore.domain.routing import Endpoint, Limits, Split
from codestore.gateway.resources import resources
from codestore.gateway.session import Session
from codestore.gateway.snapshot import Kind, Resource
from tests.gateway.loading import grown, load

A, B, C = "a" * 32, "b" * 32, "c" * 32


async def test_a_published_route_is_there_when_publish_returns(stage, make_route):
    unix, tcp = await stage.service("unix"), await stage.service("tcp", tcp=True)
    for number in range(40):
        digit, service = "0123456789abcdef"[number % 16], (unix, tcp)[number % 2]
        await stage.gateway.publish(make_route(digit, service.address))
        assert (await stage.get(f"/{digit * 32}/x")).json()["service"] == service.name
        await stage.gateway.withdraw(digit * 32)
        assert (await stage.get(f"/{digit * 32}/x")).status_code == 404


async def test_many_changes_at_once_all_arrive(stage, make_route):
    services = [await stage.service(f"s{number}", tcp=number % 2 == 0) for number in range(16)]
    routes = [make_route(f"{n:x}", service.address) for n, service in enumerate(services)]
    await asyncio.gather(*(stage.gateway.publish(route) for route in routes))
    for route, service in zip(routes, services, strict=True):
        assert (await stage.get(f"/{route.hash}/x")).json()["service"] == service.name


async def test_a_rotated_key_works_at_once_and_the_old_one_no_more(stage, make_route):
    service = await stage.service("a")
    for keys, status in [(("old",), 200), (("old", "new"), 200), (("new",), 403)]:
        await stage.gateway.publish(make_route("a", service.address, keys=keys))
        response = await stage.get(f"/{A}/x", x_user_authorization="old")
        assert response.status_code == status
    assert (await stage.get(f"/{A}/x", x_user_authorization="new")).status_code == 200


async def test_endpoints_change_under_load_without_a_failure(stage, make_route):
    unix = [await stage.service(f"unix{number}") for number in range(2)]
    tcp = [await stage.service(f"tcp{number}", tcp=True) for number in range(2)]
    await stage.gateway.publish(make_route("a", unix[0].address))
    async with load(stage, f"/{A}/x") as seen:
        for service in (*unix, *tcp, *tcp, *unix) * 3:
            await stage.gateway.publish(make_route("a", service.address))
            await grown(seen, 20)
    assert {status for status, _ in seen} == {"200"}
    assert len(seen) > 400


async def test_a_draining_endpoint_finishes_and_is_counted_until_then(stage, make_route):
    arrived, finish = asyncio.Event(), asyncio.Event()

    async def slow(request, reader, writer):
        arrived.set()
        await finish.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow")

    old = await stage.service("old", slow, tcp=True)
    new = await stage.service("new", tcp=True)
    route = make_route("a", old.address)
    await stage.gateway.publish(route)
    under_way = asyncio.create_task(stage.get(f"/{A}/x"))
    await arrived.wait()
    both = (Endpoint(old.address, draining=True), Endpoint(new.address))
    await stage.gateway.publish(dataclasses.replace(route, endpoints=both))
    assert (await stage.get(f"/{A}/x")).json()["service"] == "new"
    assert await stage.gateway.traffic.active(A) == {old.address: 1, new.address: 0}
    finish.set()
    assert (await under_way).text == "slow"
    assert await stage.gateway.traffic.active(A) == {old.address: 0, new.address: 0}


@pytest.mark.parametrize("tcp", [True, False], ids=["tcp", "unix"])
async def test_requests_under_way_survive_any_change_of_their_route(stage, make_route, tcp):
    arrived, finish = asyncio.Event(), asyncio.Event()

    async def slow(request, reader, writer):
        arrived.set()
        await finish.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow")

    old = await stage.service("old", slow, tcp=tcp)
    new = await stage.service("new")
    await stage.gateway.publish(make_route("a", old.address, keys=("k",)))
    under_way = asyncio.create_task(stage.get(f"/{A}/x", x_user_authorization="k"))
    await arrived.wait()
    assert await stage.gateway.traffic.active(A) == {old.address: 1}
    await stage.gateway.publish(make_route("a", new.address))
    await stage.gateway.publish(make_route("a", unavailable="stopped"))
    await stage.gateway.withdraw(A)
    assert (await stage.get(f"/{A}/x")).status_code == 404
    finish.set()
    assert (await under_way).text == "slow"


async def test_envoy_serves_on_without_the_control_process_and_meets_the_next_one(
    stage, make_route
):
    services = [await stage.service("a"), await stage.service("b", tcp=True)]
    routes = [make_route(service.name, service.address) for service in services]
    for route in routes:
        await stage.gateway.publish(route)
    async with load(stage, f"/{A}/x") as seen, load(stage, f"/{B}/x") as seen_tcp:
        await stage.gateway.stop()
        await grown(seen)
        gateway = stage.new_gateway()
        await gateway.start()
        await grown(seen)  # nothing is wanted yet, so nothing is taken away
        await gateway.restore(routes)
        await gateway.settled()
        await gateway.publish(make_route("c", services[0].address))
        await grown(seen)
    assert {status for status, _ in seen + seen_tcp} == {"200"}
    assert (await stage.get(f"/{C}/x")).json()["service"] == "a"


async def test_the_next_control_process_takes_away_what_it_does_not_want(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address))
    await stage.gateway.publish(make_route("b", service.address))
    await stage.gateway.stop()
    gateway = stage.new_gateway()
    await gateway.start()
    await gateway.restore([make_route("b", service.address)])
    await gateway.settled()
    assert (await stage.get(f"/{A}/x")).status_code == 404
    assert (await stage.get(f"/{B}/x")).status_code == 200


@pytest.mark.parametrize("then", ["as it was", "elsewhere", "at a socket", "gone"])
@pytest.mark.parametrize("known", [True, False], ids=["changed", "new"])
async def test_an_envoy_that_waits_for_endpoints_goes_on_with_the_next_control_process(
    stage, make_route, monkeypatch, known, then
):
    """The one before died when it had sent a cluster, and not yet its endpoints."""
    first, second = [await stage.service(name, tcp=True) for name in ("first", "second")]
    third = await stage.service("third")
    wanted = make_route("a", first.address, limits=Limits(max_requests=7))
    if known:
        await stage.gateway.publish(make_route("a", first.address))
    monkeypatch.setattr(Session, "_send_endpoints", never)
    publishing = asyncio.create_task(stage.gateway.publish(wanted))
    await some_cluster_warms(stage)
    await stage.gateway.stop()
    publishing.cancel()
    monkeypatch.undo()
    gateway = stage.new_gateway()
    await gateway.start()
    now = {
        "as it was": [wanted],
        "elsewhere": [make_route("a", second.address)],
        "at a socket": [make_route("a", third.address)],
        "gone": [],
    }[then]
    await gateway.restore([*now, make_route("b", third.address)])
    await gateway.settled()
    answers = {"as it was": "first", "elsewhere": "second", "at a socket": "third"}
    response = await stage.get(f"/{A}/")
    found = response.json().get("service") if response.status_code == 200 else None
    assert found == answers.get(then)
    assert (await stage.get(f"/{B}/")).json()["service"] == "third"
    await gateway.publish(make_route("c", second.address))


async def never(*_: object) -> None:
    await asyncio.Event().wait()


async def some_cluster_warms(stage):
    transport = httpx.AsyncHTTPTransport(uds=str(stage.settings.admin_socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://envoy") as admin:
        async with asyncio.timeout(10):
            while "dynamic_warming_clusters" not in (await admin.get("/config_dump")).text:
                await asyncio.sleep(0.01)


async def test_a_new_envoy_gets_everything_again(stage, make_route):
    services = [await stage.service("a"), await stage.service("b", tcp=True)]
    for service in services:
        await stage.gateway.publish(make_route(service.name, service.address))
    stage.kill_envoy()
    await stage.start_envoy()
    for service in services:
        told = (await stage.get(f"/{service.name * 32}/x")).json()
        assert told["service"] == service.name


async def test_without_an_envoy_a_change_times_out_and_is_made_later(stage, make_route):
    service = await stage.service("a")
    stage.kill_envoy()
    await stage.gateway.stop()
    gateway = stage.new_gateway(timeout=0.2)
    await gateway.start()
    await gateway.restore([])
    with pytest.raises(Fault, match="0 Envoy"):
        await gateway.publish(make_route("a", service.address))
    # Nobody confirmed it, but whoever comes will be told of it, unless it is withdrawn.
    assert gateway.published(A) is None and gateway.holds(A)
    with pytest.raises(Fault, match="0 Envoy"):
        await gateway.withdraw(A)
    assert not gateway.holds(A)
    await gateway.stop()
    gateway = stage.new_gateway()
    await gateway.start()
    await gateway.restore([make_route("a", service.address)])
    await stage.start_envoy()
    assert (await stage.get(f"/{A}/x")).status_code == 200


async def test_what_envoy_refuses_is_named_without_its_keys(stage, make_route, monkeypatch):
    service = await stage.service("a")
    good, bad = make_route("a", service.address), make_route("b", service.address, keys=("s3cret",))

    def broken(route):
        *others, scope = resources(route)
        assert scope.kind is Kind.SCOPE
        # A scope that says it is another one: Envoy finds two scopes with the same key.
        message = ScopedRouteConfiguration.FromString(scope.body)
        message.key.fragments[0].string_key = "api"
        return (*others, Resource.of(Kind.SCOPE, scope.name, message))

    monkeypatch.setattr("codestore.gateway.envoy.resources", broken)
    with pytest.raises(Fault, match=B) as refused:
        await stage.gateway.publish(bad)
    assert "s3cret" not in str(refused.value)
    monkeypatch.undo()
    await stage.gateway.publish(good)
    assert (await stage.get(f"/{A}/x")).status_code == 200


async def test_an_envoy_tells_its_version_and_whether_it_is_ready(stage):
    major, minor, _ = (await stage.gateway.version()).split(".")
    assert (int(major), int(minor)) >= (1, 40)
    assert await stage.gateway.ready()
    stage.kill_envoy()
    assert not await stage.gateway.ready()


async def test_a_change_before_the_whole_is_known_is_a_mistake(stage, make_route):
    await stage.gateway.stop()
    gateway = stage.new_gateway()
    with pytest.raises(RuntimeError, match="restore"):
        await gateway.publish(make_route("a"))


async def test_a_route_that_envoy_could_not_take_changes_nothing(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address))
    with pytest.raises(ValueError):
        await stage.gateway.publish(make_route("a", "nowhere"))
    assert (await stage.get(f"/{A}/x")).status_code == 200


async def test_a_connection_that_is_kept_outlives_every_change(stage, make_route):
    """Nothing that is told to Envoy touches its listener, so it has no reason to close one."""
    service = await stage.service("a")
    route = make_route("a", service.address)
    reader, writer = await stage.streams()
    for change in (
        route,
        dataclasses.replace(route, revision=1),
        dataclasses.replace(route, limits=Limits(rate=500, max_body=10, max_requests=5)),
        dataclasses.replace(route, split=Split(50, 2, route.endpoints)),
        dataclasses.replace(route, unavailable="stopped"),
        dataclasses.replace(route, unavailable="stopped", promised=True),
        make_route("b", service.address),
        None,
        route,
    ):
        if change is None:
            await stage.gateway.withdraw(A)
        else:
            await stage.gateway.publish(change)
        writer.write(f"GET /{A}/x HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        head, _ = await stage.read(reader)
        assert head.split(" ")[1] in ("200", "404", "503")
        assert "connection: close" not in head
    writer.close()
