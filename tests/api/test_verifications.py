"""Verifications over HTTP: who may ask, what is told of whom, and what Prometheus hears."""

import asyncio
from typing import Any

import httpx
import pytest

from codestore.domain.deployments import Deployment
from codestore.domain.verification import PLATFORM, Aim
from tests.api.shop import Shop
from tests.api.stage import ADA, BOB, EVE, VIC, Stage

WHERE = "/api/verifications"


async def verified(web: httpx.AsyncClient, **chosen: str) -> dict[str, dict[str, Any]]:
    """Ask, wait, and return what was found by environment."""
    asked = await web.post(WHERE, params=chosen)
    assert asked.status_code == 202, asked.text
    assert {each["state"] for each in asked.json()["items"]} == {"asked"}
    async with asyncio.timeout(15):
        while True:
            found = (await web.get(WHERE, params=chosen)).json()["items"]
            if all(each["state"] == "done" for each in found):
                return {each["environment"]: each for each in found}
            await asyncio.sleep(0.02)


async def of(stage: Stage, **equal: str) -> list[Deployment]:
    async with stage.world.doors.store.begin() as records:
        return await records.find(Deployment, **equal)


async def test_what_was_tried_is_told_by_wall_and_by_neighbour(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    await Shop(stage, web).open()
    found = await verified(web, project="shop", environment="staging")
    assert list(found) == ["staging"]
    told = found["staging"]
    assert (told["project"], told["service"], told["asked_by"]) == ("shop", "blog", ADA)
    assert (told["verdict"], told["unproved"], told["release"]) == ("refused", None, "0")
    assert {wall["reached"] for wall in told["walls"].values()} == {0}
    homes = [each for each in told["findings"] if each["tried"] == Aim.HOME]
    neighbours = ["blog/demo", "blog/private", "shop/development/blog", "shop/production/blog"]
    assert [each["whose"] for each in homes] == [neighbours]


async def test_everything_of_the_organization_is_verified_without_a_choice(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    await Shop(stage, web).open()
    every = ["demo", "private", "development", "production", "staging"]
    assert list(await verified(web)) == every


async def test_a_breach_is_told_to_people_and_machines(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    await Shop(stage, web).open()
    (mine,), (other,) = await of(stage, kind="staging"), await of(stage, kind="demo")
    stage.world.driver.leaks.add((mine.id, Aim.HOME, other.id))
    stage.world.driver.leaks.add((mine.id, Aim.KEEPER, PLATFORM))
    told = (await verified(web, project="shop", environment="staging"))["staging"]
    assert told["verdict"] == "reached"
    reached = {
        each["tried"]: each["whose"] for each in told["findings"] if each["verdict"] == "reached"
    }
    assert reached == {Aim.HOME: ["blog/demo"], Aim.KEEPER: ["the platform"]}
    assert told["walls"]["sockets"]["reached"] == told["walls"]["files"]["reached"] == 1
    events = (await web.get("/api/events", params={"project": "shop"})).json()["items"]
    assert [each["environment"] for each in events if each["kind"] == "breached"] == ["staging"]
    figures = (await web.get("/metrics")).text
    place = '{environment="staging",project="shop",service="blog"}'
    assert f"codestore_breaches{place} 2.0" in figures
    assert f"codestore_verified_timestamp_seconds{place}" in figures


async def test_what_proves_nothing_is_no_success(stage: Stage, web: httpx.AsyncClient) -> None:
    await stage.create(web, "blog")
    (mine,) = await of(stage, kind="demo")
    stage.world.driver.blocked.add((mine.id, Aim.OWN_DATABASE))
    told = (await verified(web, service="blog", environment="demo"))["demo"]
    assert told["verdict"] == "unproved"
    assert told["unproved"] == "it could not log in to our own database: not allowed"
    figures = (await web.get("/metrics")).text
    assert 'codestore_verified_timestamp_seconds{environment="demo"' not in figures


async def test_what_others_have_is_tried_and_never_named(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    async with stage.client(EVE) as eve:
        hers = await stage.create(eve, "secretive")
        await stage.create(web, "blog")
        (mine,) = await of(stage, kind="demo", organization="engines")
        (other,) = await of(stage, kind="demo", organization="elsewhere")
        stage.world.driver.leaks.add((mine.id, Aim.LOGS, other.id))
        told = (await verified(web, service="blog", environment="demo"))["demo"]
        homes = [each for each in told["findings"] if each["tried"] == Aim.HOME]
        assert [(each["whose"], each["others"]) for each in homes] == [(["blog/private"], 2)]
        leak = [each for each in told["findings"] if each["verdict"] == "reached"]
        assert [(each["whose"], each["others"]) for each in leak] == [([], 1)]
        everything = (await web.get(WHERE)).text + (await web.get("/metrics")).text
        everything += (await web.get("/api/events")).text + (await web.get("/api/logs")).text
        for name in ("secretive", "elsewhere", other.id, other.hash, hers["service"]):
            assert name not in everything
        assert {each["service"] for each in (await eve.get(WHERE)).json()["items"]} == {"secretive"}
        for method in ("get", "post"):
            answer = await getattr(eve, method)(WHERE, params={"service": "blog"})
            assert answer.status_code == 404


async def test_a_private_environment_is_verified_by_its_owner_alone(stage: Stage) -> None:
    async with stage.client(BOB) as bob, stage.client(ADA) as ada:
        await stage.create(bob, "blog")
        assert list(await verified(ada, service="blog")) == ["demo"]
        only = {"service": "blog", "environment": "private"}
        assert (await ada.post(WHERE, params=only)).json()["code"] == "not_owner"
        assert list(await verified(bob, **only)) == ["private"]


async def test_viewers_may_not_ask_and_it_is_written_down_who_did(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    await stage.create(web, "blog")
    async with stage.client(VIC) as vic:
        for method in ("get", "post"):
            answer = await getattr(vic, method)(WHERE)
            assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    await verified(web, service="blog", environment="demo")
    entries = (await web.get("/api/audit")).json()["items"]
    asked = [each for each in entries if each["act"] == "env:verify"]
    assert [(each["by"], each["subject"]) for each in asked] == [(ADA, "blog/demo")]


async def test_where_nothing_lives_there_is_nothing_to_verify(web: httpx.AsyncClient) -> None:
    answer = await web.post(WHERE)
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_live")
    assert (await web.get(WHERE)).json()["items"] == []


@pytest.mark.parametrize("field", ["verdict", "at", "release", "asked_at"])
async def test_before_the_first_one_nothing_is_said(
    stage: Stage, web: httpx.AsyncClient, field: str
) -> None:
    await stage.create(web, "blog")
    for each in (await web.get(WHERE)).json()["items"]:
        assert (each["state"], each[field], each["findings"]) == ("never", None, [])
