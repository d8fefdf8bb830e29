"""Keys at the gateway: of developers and of clients, replaced and revoked, and counted."""

import asyncio
from dataclasses import replace

import pytest

from codestore.domain.routing import Caller, Limits
from codestore.domain.secret import Secret
from tests.gateway.test_gateway_rules import check_problem

A, B = "a" * 32, "b" * 32
ADA, BOB = Caller("cli-ada", Secret("key-of-ada")), Caller("cli-bob", Secret("key-of-bob"))


async def test_a_client_is_let_in_by_its_key_which_no_service_sees(stage, make_route):
    service = await stage.service("a")
    await stage.gateway.publish(make_route("a", service.address, keys=("k",), callers=(ADA, BOB)))
    for key in ("k", "key-of-ada", "key-of-bob"):
        told = (await stage.get(f"/{A}/x", x_user_authorization=key)).json()
        assert "x-user-authorization" not in told["headers"]
        assert key not in str(told)
    refused = await stage.get(f"/{A}/x", x_user_authorization="key-of-eve")
    check_problem(refused, 403, "wrong_key")
    check_problem(await stage.get(f"/{A}/x", x_user_authorization="cli-ada"), 403, "wrong_key")


async def test_calls_of_a_client_are_counted_whatever_its_key(stage, make_route):
    services = [await stage.service(name) for name in ("a", "b")]
    other = replace(ADA, key=Secret("another-of-ada"))
    for service in services:
        route = make_route(service.name, service.address, keys=("k",), callers=(ADA, other, BOB))
        await stage.gateway.publish(route)
    for path, key in (
        *((f"/{A}/x", "key-of-ada"), (f"/{A}", "another-of-ada"), (f"/{B}/x", "key-of-ada")),
        *((f"/{A}/x", "k"), (f"/{A}/x", "wrong")),
    ):
        await stage.get(path, x_user_authorization=key)
    calls = await stage.gateway.traffic.calls()
    assert calls.totals["cli-ada"] == {A: 2, B: 1}
    assert not any(calls.totals.get("cli-bob", {}).values())
    services[0].close()
    await stage.get(f"/{A}/x", x_user_authorization="key-of-ada")
    assert (await stage.gateway.traffic.calls()).totals["cli-ada"][A] == 2  # nobody got it


async def test_calls_are_counted_on_when_a_route_changes(stage, make_route):
    service = await stage.service("a")
    route = make_route("a", service.address, keys=("k",), callers=(ADA,))
    for revision in range(3):
        await stage.gateway.publish(replace(route, revision=revision))
        await stage.get(f"/{A}/x", x_user_authorization="key-of-ada")
    assert (await stage.gateway.traffic.calls()).totals["cli-ada"] == {A: 3}


@pytest.mark.parametrize("workers", [2])
async def test_a_key_is_replaced_while_requests_come_and_none_fails(stage, make_route, workers):
    service = await stage.service("a")
    route = make_route("a", service.address, keys=("old",), limits=Limits(max_body=100))
    await stage.gateway.publish(route)
    key, done, statuses = "old", False, []

    async def call():
        while not done:
            response = await stage.client.get(f"/{A}/x", headers={"x-user-authorization": key})
            statuses.append(response.status_code)

    callers = [asyncio.create_task(call()) for _ in range(4)]
    for number in range(10):
        before, new = key, f"key{number}"
        await stage.gateway.publish(replace(route, keys=(Secret(before), Secret(new))))
        key = new
        count = len(statuses)
        while len(statuses) < count + 8:  # whoever still had the old one is through
            await asyncio.sleep(0)
        await stage.gateway.publish(replace(route, keys=(Secret(new),)))
        response = await stage.get(f"/{A}/x", x_user_authorization=before)
        check_problem(response, 403, "wrong_key")
    done = True
    await asyncio.gather(*callers)
    assert set(statuses) == {200}


@pytest.mark.parametrize("workers", [2])
async def test_a_revoked_key_opens_nothing_when_that_is_confirmed(stage, make_route, workers):
    service = await stage.service("a")
    route = make_route("a", service.address, keys=("k",), callers=(ADA,))
    for _ in range(5):
        await stage.gateway.publish(route)
        kept = [await stage.streams() for _ in range(8)]  # connections to both workers
        ask = f"GET /{A}/x HTTP/1.1\r\nhost: x\r\nx-user-authorization: key-of-ada\r\n\r\n"
        for reader, writer in kept:
            writer.write(ask.encode())
            assert (await stage.read(reader))[0].startswith("HTTP/1.1 200")
        await stage.gateway.publish(replace(route, callers=()))
        for reader, writer in kept:
            writer.write(ask.encode())
            assert (await stage.read(reader))[0].startswith("HTTP/1.1 403")
            writer.close()


async def test_whoever_knocks_is_told_what_anybody_would_be(stage, make_route, monkeypatch):
    service = await stage.service("a")
    monkeypatch.setattr(stage.gateway, "_base", f"http://127.0.0.1:{stage.settings.port}")
    await stage.gateway.publish(make_route("a", service.address, keys=("k",), callers=(ADA,)))
    for key, status in (("k", 200), ("key-of-ada", 200), ("wrong", 403)):
        assert await stage.gateway.knock(A, Secret(key)) == status, key
    assert await stage.gateway.knock(B, Secret("k")) == 404


async def test_keys_of_clients_are_in_no_message_about_a_route(stage, make_route):
    assert "key-of-ada" not in repr(make_route("a", "unix:/a", keys=("k",), callers=(ADA,)))
