"""Keys and clients through the API: who may, what is told, and that the gateway knows at once."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from codestore.domain.deployments import Deployment
from codestore.domain.keys import Client, Key, Usage
from codestore.domain.routing import Route
from codestore.reconcile import letting_in
from codestore.reconcile.letting_in import end_keys
from tests.api.shop import Shop
from tests.api.stage import ADA, BOB, EVE

ADDRESS = "carol@example.org"


@pytest.fixture
async def shop(stage) -> Shop:
    async with stage.client(ADA) as web:
        yield await Shop(stage, web).open()


async def routes(shop: Shop) -> dict[str, Route]:
    """What the gateway follows, by kind of environment."""
    async with shop.stage.world.doors.store.begin() as records:
        held = await records.find(Deployment)
    gateway = shop.stage.world.gateway
    return {each.kind.value: gateway.routes[each.hash] for each in held}


def opening(route: Route) -> set[str]:
    return {key.reveal() for key in route.secrets}


async def add(shop: Shop, email: str = ADDRESS):
    return await shop.web.post("/api/projects/shop/clients", json={"email": email})


async def rotate(shop: Shop, **how):
    return await shop.web.post("/api/projects/shop/keys", json=how)


async def test_a_clients_key_opens_production_when_it_is_told_and_nothing_else(shop):
    issued = (await add(shop)).json()
    assert issued["key"].startswith("cs_cli_") and len(issued["key"]) == 7 + 64
    assert (issued["kind"], issued["owner"], issued["email"]) == ("client", "shop", ADDRESS)
    found = await routes(shop)
    assert issued["key"] in opening(found.pop("production"))
    assert not any(issued["key"] in opening(route) for route in found.values())


async def test_the_list_tells_everything_but_the_key(shop):
    issued = (await add(shop)).json()
    answer = await shop.web.get("/api/projects/shop/clients")
    assert issued["key"] not in answer.text
    (client,) = answer.json()["items"]
    assert client["email"] == ADDRESS
    assert client["created_by"] == ADA
    assert (client["requests"], client["used_at"]) == (0, None)
    (key,) = client["keys"]
    assert key["hint"] == issued["key"][:13] + "…"
    for place in ("/api/projects/shop", "/api/projects", "/api/events?project=shop"):
        assert issued["key"] not in (await shop.web.get(place)).text


async def test_a_client_is_known_by_its_address_once(shop):
    assert (await add(shop)).status_code == 201
    again = await add(shop, f" {ADDRESS.upper()}")
    assert (again.status_code, again.json()["code"]) == (409, "client_exists")
    bad = await add(shop, "nobody")
    assert (bad.status_code, bad.json()["code"]) == (422, "bad_email")


async def test_a_client_that_is_removed_is_shut_out_when_that_is_told(shop):
    key = (await add(shop)).json()["key"]
    other = (await add(shop, "dan@example.org")).json()["key"]
    gone = await shop.web.delete(f"/api/projects/shop/clients/{ADDRESS}")
    assert gone.status_code == 204
    production = opening((await routes(shop))["production"])
    assert key not in production and other in production
    again = await shop.web.delete(f"/api/projects/shop/clients/{ADDRESS}")
    assert again.status_code == 404


async def test_a_developer_key_is_replaced_everywhere_and_the_old_one_opens_for_a_while(shop):
    before = (await shop.web.get("/api/projects/shop")).json()["developer_key"]
    issued = (await rotate(shop)).json()
    assert issued["key"].startswith("cs_dev_")
    assert issued["old_until"] is not None
    found = await routes(shop)
    for kind in ("development", "staging", "production"):
        assert opening(found[kind]) == {before, issued["key"]}
    assert before not in opening(found["private"])
    assert (await shop.web.get("/api/projects/shop")).json()["developer_key"] == issued["key"]
    assert (await shop.shown())["key"] == issued["key"]


async def test_without_an_overlap_the_old_key_has_ended_when_the_new_one_is_told(shop):
    await rotate(shop)
    issued = (await rotate(shop, overlap=0)).json()
    assert issued["old_until"] is None
    for kind in ("development", "staging", "production"):
        assert opening((await routes(shop))[kind]) == {issued["key"]}


async def test_the_key_of_a_service_is_replaced_in_private_alone(shop):
    before = await routes(shop)
    answer = await shop.web.post("/api/services/blog/keys", json={"overlap": 0})
    assert answer.status_code == 201, answer.text
    after = await routes(shop)
    assert opening(after["private"]) == {answer.json()["key"]}
    for kind in ("demo", "development", "staging", "production"):
        assert after[kind] == before[kind]


async def test_a_client_gets_a_new_key_and_stays_the_same_client(shop):
    first = (await add(shop)).json()
    second = (await rotate(shop, client=ADDRESS, overlap=60)).json()
    assert second["client"] == first["client"]
    route = (await routes(shop))["production"]
    callers = {caller.key.reveal(): caller.id for caller in route.callers}
    assert callers == {first["key"]: first["client"], second["key"]: first["client"]}
    (client,) = (await shop.web.get("/api/projects/shop/clients")).json()["items"]
    assert len(client["keys"]) == 2
    unknown = await rotate(shop, client="dan@example.org")
    assert unknown.status_code == 404


@pytest.mark.parametrize("overlap", [-1, 1e12, "soon"])
async def test_an_overlap_that_is_none_changes_nothing(shop, overlap):
    before = await routes(shop)
    assert (await rotate(shop, overlap=overlap)).status_code == 422
    assert await routes(shop) == before


async def test_only_the_owner_handles_keys_and_others_do_not_know_of_the_project(shop):
    await add(shop)
    for name, status in ((BOB, 403), (EVE, 404), (None, 401)):
        async with shop.stage.client(name) as web:
            for method, place, body in (
                ("GET", "projects/shop/clients", None),
                ("POST", "projects/shop/clients", {"email": "x@y.org"}),
                ("DELETE", f"projects/shop/clients/{ADDRESS}", None),
                ("POST", "projects/shop/keys", {}),
                ("POST", "services/blog/keys", {}),
            ):
                answer = await web.request(method, f"/api/{place}", json=body)
                assert answer.status_code == status, (name, place, answer.text)


async def test_a_revoked_key_does_not_wait_for_a_turn_nor_does_that_bring_it_back(shop):
    """A turn that is under way read the old keys, and publishes a route when it comes to that."""
    key = (await add(shop)).json()["key"]
    driver = shop.stage.world.driver
    started, go_on = asyncio.Event(), asyncio.Event()
    run = driver.run

    async def slow(workload, name, timeout):
        started.set()
        await go_on.wait()
        return await run(workload, name, timeout)

    await shop.arrive()
    driver.run = slow
    change = await shop.promote()
    await started.wait()  # the migration of production runs
    gone = await shop.web.delete(f"/api/projects/shop/clients/{ADDRESS}")
    assert gone.status_code == 204
    assert key not in opening((await routes(shop))["production"])
    go_on.set()
    await shop.done(change)
    assert key not in opening((await routes(shop))["production"])


async def test_a_gateway_that_is_away_is_told_of_as_such_and_hears_of_it_later(shop):
    key = (await add(shop)).json()["key"]
    gateway = shop.stage.world.gateway
    gateway.away = True
    gone = await shop.web.delete(f"/api/projects/shop/clients/{ADDRESS}")
    assert gone.status_code == 503
    assert (await shop.web.get("/api/projects/shop/clients")).json()["items"] == []
    gateway.away = False
    async with asyncio.timeout(30):
        while key in opening((await routes(shop))["production"]):
            await asyncio.sleep(0.02)


async def test_a_key_ends_by_itself_and_people_are_told(shop, monkeypatch):
    before = (await shop.web.get("/api/projects/shop")).json()["developer_key"]
    await rotate(shop, overlap=3600)
    doors = shop.stage.world.doors
    now = shop.stage.doors.clock.now
    late = type("Late", (), {"now": staticmethod(lambda: now() + timedelta(seconds=3601))})()
    monkeypatch.setattr(letting_in, "EVERY", 0.01)
    ending = asyncio.create_task(end_keys(replace(shop.stage.doors, clock=late)))
    async with asyncio.timeout(10):
        while before in opening((await routes(shop))["staging"]):
            await asyncio.sleep(0.01)
        while "an old key has ended" not in await shop.events("keys"):
            await asyncio.sleep(0.01)
    ending.cancel()
    project = (await shop.web.get("/api/projects/shop")).json()["project"]
    async with doors.store.begin() as records:
        assert len(await records.find(Key, scope=project)) == 1


async def test_nothing_of_a_clients_is_left_when_its_project_goes(shop):
    await add(shop)
    await shop.done(await shop.web.delete("/api/projects/shop/services/blog"))
    assert (await shop.web.delete("/api/projects/shop")).status_code == 204
    async with shop.stage.world.doors.store.begin() as records:
        assert await records.find(Client) == await records.find(Usage) == []
