"""The way back that nobody asked for: a young version that does badly gives way, once."""

import asyncio

import httpx
import pytest

from tests.api.shop import Shop
from tests.api.stage import Stage
from tests.api.test_holds import refused


@pytest.fixture
async def shop(stage: Stage, web: httpx.AsyncClient) -> Shop:
    return await Shop(stage, web).open()


async def test_a_young_version_that_keeps_crashing_gives_way_once(shop: Shop) -> None:
    await shop.arrive("production")
    new = (await shop.stored()).status.live
    assert new is not None
    await shop.crash(new.revision, 3)
    await shop.until(lambda found: found["deployment"]["version"] == "0.0.1")
    after = await shop.shown()
    reason = "return to 0.0.1: 0.0.2 failed 3 times in a row (exit code 1)"
    assert (after["hold"]["by"], after["hold"]["reason"]) == ("codestore", reason)
    (mark,) = after["marks"]
    assert (mark["version"], mark["by"]) == ("0.0.2", "codestore")
    assert await shop.events("returning") == [reason]
    refused(await shop.promote(), "held")

    old = (await shop.stored()).status.live
    assert old is not None
    assert old.returned
    await shop.unhold()  # also when nobody holds it there
    await shop.crash(old.revision, 3)
    await asyncio.sleep(1.5)
    still = await shop.shown()
    assert (still["version"], still["hold"]) == ("0.0.1", None)
    assert len(await shop.events("returning")) == 1
    await shop.done(await shop.roll("0.0.2"))
    assert (await shop.shown())["marks"] == []


async def test_a_young_version_gives_way_when_none_of_its_instances_is_well(shop: Shop) -> None:
    await shop.arrive("production")
    deployment, driver = await shop.stored(), shop.stage.world.driver
    for name in list(driver.instances[deployment.id]):
        driver.ail(deployment.id, name, "/health answered 500")
    await shop.until(lambda found: found["deployment"]["hold"] and not found["under_way"])
    after = await shop.shown()
    assert after["version"] == "0.0.1"
    assert "0.0.2 is not well (/health answered 500)" in after["hold"]["reason"]


async def test_moving_on_ends_what_the_way_back_without_being_asked_holds(shop: Shop) -> None:
    await shop.arrive("production")
    new = (await shop.stored()).status.live
    assert new is not None
    await shop.crash(new.revision, 3)
    await shop.until(lambda found: found["deployment"]["hold"] and not found["under_way"])
    await shop.publish()
    await shop.done(await shop.roll("latest"))
    after = await shop.shown()
    assert (after["version"], after["hold"]) == ("0.0.3", None)
    assert [mark["version"] for mark in after["marks"]] == ["0.0.2"]
