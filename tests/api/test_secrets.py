"""Secrets over HTTP: where they are set, what wins, who starts anew, and what is never shown."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from codestore.domain.deployments import Deployment
from codestore.domain.instances import InstanceState
from codestore.domain.secrets import DataKey, SealedSecret, SecretSet
from tests.api.shop import Shop
from tests.api.stage import EVE, OPAL, Stage

VALUE = "hunter2-and-more"


@pytest.fixture
async def shop(stage: Stage, web: httpx.AsyncClient) -> Shop:
    return await Shop(stage, web).open()


async def put(shop: Shop, key: str, value: str, method: str = "POST", **where: str) -> Any:
    body = {"key": key, "value": value, **where}
    return await shop.web.request(method, "/api/secrets", json=body)


async def add(shop: Shop, key: str, value: str, **where: str) -> list[str]:
    """Set a secret, wait, and return where it was started anew."""
    return await _started(shop, await put(shop, key, value, **where))


async def update(shop: Shop, key: str, value: str, **where: str) -> list[str]:
    return await _started(shop, await put(shop, key, value, "PUT", **where))


async def _started(shop: Shop, answer: httpx.Response) -> list[str]:
    assert answer.status_code == 202, answer.text
    if not answer.json()["waits"]:
        return []
    document = await shop.done(answer)
    return sorted(each["environment"] for each in document["deployments"])


async def given(shop: Shop, kind: str) -> dict[str, str]:
    """Return the variables of the instance that serves, but for those of the platform."""
    held = await held_in(shop, kind)
    driver = shop.stage.world.driver
    serving = [
        name
        for name, each in driver.instances[held.id].items()
        if each.state is InstanceState.SERVING
    ]
    assert serving
    seen = [driver.environments[name] for name in serving]
    assert all(each == seen[0] for each in seen)
    own = ("_ID", "DATABASE_URL")
    return {k: v.reveal() for k, v in seen[0].items() if not k.endswith(own)}


async def held_in(shop: Shop, kind: str) -> Deployment:
    async with shop.stage.world.doors.store.begin() as records:
        (held,) = await records.find(Deployment, kind=kind)
        return held


async def test_the_nearest_scope_wins_and_is_named(shop: Shop) -> None:
    everywhere = ["development", "production", "staging"]
    assert await add(shop, "TOKEN", "wide", project="shop") == everywhere
    assert await add(shop, "OTHER", "o", project="shop") == everywhere
    production = {"project": "shop", "environment": "production"}
    assert await add(shop, "TOKEN", "nearer", **production) == ["production"]
    inside = {**production, "service": "blog"}
    assert await add(shop, "TOKEN", "nearest", **inside) == ["production"]
    assert await given(shop, "production") == {"TOKEN": "nearest", "OTHER": "o"}
    assert await given(shop, "staging") == {"TOKEN": "wide", "OTHER": "o"}
    assert await given(shop, "private") == {}

    assert await update(shop, "TOKEN", "changed", **production) == []  # it is not reached there
    listed = (await shop.web.get("/api/secrets", params=inside)).json()["items"]
    levels = [(each["key"], each["value"], each["source"]["level"]) for each in listed]
    assert levels == [("OTHER", None, "project"), ("TOKEN", None, "service")]
    gone = await shop.web.delete("/api/secrets/TOKEN", params=inside)
    assert len((await shop.done(gone))["deployments"]) == 1
    assert (await given(shop, "production"))["TOKEN"] == "changed"

    told = (await shop.web.get("/api/secrets/TOKEN/explain", params=inside)).json()
    chain = [(r["source"]["level"], r["set"], r["winner"], r["set_by"]) for r in told["chain"]]
    assert chain == [
        ("service", False, False, None),
        ("environment", True, True, "ada"),
        ("project", True, False, "ada"),
    ]
    assert told["applied"] is True


async def test_own_environments_have_secrets_of_their_own(shop: Shop) -> None:
    assert await add(shop, "TOKEN", "both", service="blog") == ["demo", "private"]
    assert await add(shop, "TOKEN", "x", service="blog", environment="private") == ["private"]
    assert await given(shop, "private") == {"TOKEN": "x"}
    assert await given(shop, "demo") == {"TOKEN": "both"}
    assert await given(shop, "development") == {}


async def test_the_same_value_starts_nothing_anew(shop: Shop) -> None:
    await add(shop, "TOKEN", VALUE, project="shop")
    assert await update(shop, "TOKEN", VALUE, project="shop") == []
    assert await add(shop, "TOKEN", VALUE, project="shop", environment="staging") == []


async def test_empty_is_set(shop: Shop) -> None:
    assert len(await add(shop, "TOKEN", "", project="shop")) == 3
    assert await given(shop, "production") == {"TOKEN": ""}


async def test_a_value_is_shown_when_it_is_to_be_revealed_and_that_is_told(shop: Shop) -> None:
    await add(shop, "TOKEN", VALUE, project="shop")
    where = {"project": "shop", "environment": "production", "service": "blog"}
    shown = await shop.web.post("/api/secrets/reveal", params=where)
    assert [each["value"] for each in shown.json()["items"]] == [VALUE]
    events = (await shop.web.get("/api/events", params={"project": "shop"})).json()["items"]
    told = [each for each in events if each["kind"] == "revealed"]
    assert [each["message"] for each in told] == ["secret:reveal: ada saw TOKEN"]
    asked = [e["message"] for e in events if e["message"].startswith("secret:add")]
    assert set(asked) == {"secret:add TOKEN (-p shop)"}
    assert VALUE not in str(events)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"key": "1X"}, "bad_secret_key"),
        ({"key": "DATABASE_URL"}, "reserved_secret_key"),
        ({"value": VALUE + "\0"}, "bad_secret_value"),
        ({"value": VALUE * 4000}, "bad_secret_value"),
        ({"value": VALUE + "\ud800"}, "bad_secret_value"),
        ({"project": None}, "no_scope"),
        ({"service": "blog"}, "no_environment"),
        ({"project": "nothing"}, "project_not_found"),
        ({"environment": "private"}, "environment_not_found"),
        ({"environment": "production", "service": "none"}, "service_not_found"),
    ],
)
async def test_what_cannot_be_set_is_refused_without_showing_it(
    shop: Shop, change: dict[str, str], code: str
) -> None:
    body = {"key": "TOKEN", "value": VALUE, "project": "shop", **change}
    content = json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    refused = await shop.web.post("/api/secrets", content=content, headers=headers)
    assert refused.json()["code"] == code
    assert "hunter2" not in refused.text


async def test_adding_twice_and_updating_nothing_are_refused(shop: Shop) -> None:
    assert (await put(shop, "TOKEN", "x", "PUT", project="shop")).json()["code"] == (
        "secret_not_found"
    )
    await add(shop, "TOKEN", "x", project="shop")
    twice = await put(shop, "TOKEN", "y", project="shop")
    assert (twice.status_code, twice.json()["code"]) == (409, "secret_exists")
    assert (await given(shop, "staging"))["TOKEN"] == "x"


async def test_another_organization_sees_nothing(shop: Shop) -> None:
    await add(shop, "TOKEN", VALUE, project="shop")
    where = {"project": "shop"}
    async with shop.stage.client(EVE) as eve:
        answers = (
            await eve.get("/api/secrets", params=where),
            await eve.post("/api/secrets/reveal", params=where),
            await eve.get("/api/secrets/TOKEN/explain", params=where),
            await eve.delete("/api/secrets/TOKEN", params=where),
            await eve.post("/api/secrets", json={"key": "TOKEN", "value": "x", **where}),
        )
    assert {answer.status_code for answer in answers} == {404}
    assert VALUE not in "".join(answer.text for answer in answers)


async def test_a_missing_secret_stops_a_version_before_anything_of_it_starts(shop: Shop) -> None:
    builder, driver = shop.stage.world.builder, shop.stage.world.driver
    builder.manifest = replace(builder.manifest, secrets=("TOKEN", "ID"))
    await add(shop, "ID", "", service="blog")
    before = await held_in(shop, "private")
    ended = await shop.ended(await shop.web.post("/api/services/blog/versions", content=b"archive"))
    (problem,) = ended["problems"]
    assert problem["code"] == "secret_missing"
    assert "needs TOKEN," in problem["detail"]
    assert "-k TOKEN" in problem["hint"]
    after = await held_in(shop, "private")
    assert after.status.live == before.status.live
    assert after.status.marks == ()
    assert max(i.revision for i in driver.instances[after.id].values()) == 2

    await add(shop, "TOKEN", "t", service="blog", environment="private")
    await shop.done(
        await shop.web.post(
            "/api/services/blog/roll", json={"environment": "private", "version": "0.0.2"}
        )
    )
    assert await given(shop, "private") == {"TOKEN": "t", "ID": ""}
    needed = await shop.web.delete(
        "/api/secrets/TOKEN", params={"service": "blog", "environment": "private"}
    )
    assert (needed.status_code, needed.json()["code"]) == (409, "secret_needed")


async def test_a_service_that_lacks_a_secret_at_birth_lives_once_it_is_set(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    builder = stage.world.builder
    builder.manifest = replace(builder.manifest, secrets=("TOKEN",))
    shop = Shop(stage, web)
    born = await web.post("/api/services", params={"name": "blog"}, content=b"archive")
    assert not (await shop.ended(born))["succeeded"]
    assert await add(shop, "TOKEN", "t", service="blog") == ["demo", "private"]
    assert await given(shop, "demo") == {"TOKEN": "t"}


async def test_a_way_back_brings_the_secrets_of_then(shop: Shop) -> None:
    await add(shop, "TOKEN", "old", project="shop")
    await shop.arrive("production")
    await update(shop, "TOKEN", "new", project="shop")
    assert (await given(shop, "production"))["TOKEN"] == "new"
    back = {"environment": "production", "version": "0.0.1"}
    await shop.done(await shop.web.post("/api/projects/shop/services/blog/roll", json=back))
    assert (await given(shop, "production"))["TOKEN"] == "old"
    inside = {"project": "shop", "environment": "production", "service": "blog"}
    told = (await shop.web.get("/api/secrets/TOKEN/explain", params=inside)).json()
    assert told["applied"] is False
    assert (await given(shop, "staging"))["TOKEN"] == "new"


async def test_a_value_with_which_nothing_starts_leaves_the_one_before(shop: Shop) -> None:
    await add(shop, "TOKEN", "good", project="shop", environment="staging")
    held = await held_in(shop, "staging")
    shop.stage.world.driver.unhealthy.add(held.spec.digest)
    ended = await shop.ended(
        await put(shop, "TOKEN", "bad", "PUT", project="shop", environment="staging")
    )
    assert not ended["succeeded"]
    shop.stage.world.driver.unhealthy.clear()
    assert (await given(shop, "staging"))["TOKEN"] == "good"
    after = await held_in(shop, "staging")
    assert after.status.marks == ()  # the version is not to blame


async def test_a_change_upon_a_change_is_refused_and_changes_nothing(shop: Shop) -> None:
    shop.stage.world.driver.slow = True
    first = await put(shop, "TOKEN", "a", project="shop", environment="staging")
    await asyncio.sleep(0)
    second = await put(shop, "TOKEN", "b", "PUT", project="shop", environment="staging")
    assert second.json()["code"] == "busy"
    shop.stage.world.driver.slow = False
    shop.stage.world.driver.boot()
    await shop.done(first)
    assert (await given(shop, "staging"))["TOKEN"] == "a"


async def test_new_keys_seal_everything_and_the_old_ones_go(shop: Shop) -> None:
    for number in range(3):
        await add(shop, f"TOKEN_{number}", VALUE, project="shop")
    store = shop.stage.world.doors.store
    async with store.begin() as records:
        (old,) = await records.find(DataKey)
    assert (await shop.web.post("/api/secrets/rekey", json={})).status_code == 403
    async with shop.stage.client(OPAL) as opal:  # the master key is the platform's
        mine = {"master": True, "data": False}
        done = (await opal.post("/api/secrets/rekey", json=mine)).json()
    assert done["data_keys"] == 1
    done = (await shop.web.post("/api/secrets/rekey", json={"master": False})).json()
    assert done["secrets"] >= 3
    async with store.begin() as records:
        (fresh,) = await records.find(DataKey)
        sealed = [*await records.find(SealedSecret), *await records.find(SecretSet)]
    assert fresh.id != old.id and fresh.master != old.master
    assert {each.data_key for each in sealed} == {fresh.id}
    shown = await shop.web.post("/api/secrets/reveal", params={"project": "shop"})
    assert [each["value"] for each in shown.json()["items"]] == [VALUE] * 3
    assert len(await update(shop, "TOKEN_0", "x", project="shop")) == 3


async def test_what_is_removed_takes_its_secrets_along(shop: Shop) -> None:
    await add(shop, "A", "1", project="shop")
    await add(shop, "B", "2", project="shop", environment="staging", service="blog")
    await add(shop, "C", "3", service="blog")
    store = shop.stage.world.doors.store
    await shop.done(await shop.web.delete("/api/projects/shop/services/blog"))
    async with store.begin() as records:
        assert {each.key for each in await records.find(SealedSecret)} == {"A", "C"}
    assert (await shop.web.delete("/api/projects/shop")).status_code == 204
    await shop.done(await shop.web.delete("/api/services/blog"))
    async with store.begin() as records:
        assert await records.find(SealedSecret) == []
        assert await records.find(SecretSet) == []
