"""The password of a database is replaced by a rollout of the same version."""

from dataclasses import replace
from datetime import timedelta

import pytest

from codestore.clock import SystemClock
from tests.api.shop import Shop, place
from tests.api.stage import ADA, BOB, EVE


@pytest.fixture
async def shop(stage) -> Shop:
    async with stage.client(ADA) as web:
        yield await Shop(stage, web).open()


async def rotate(shop: Shop, environment: str = "production"):
    return await shop.web.post(place("database/password", environment))


async def until_closed(shop: Shop) -> None:
    """Whoever is leaving has finished; wait for what that allows."""
    driver, id_ = shop.stage.world.driver, (await shop.stored()).id
    for each in list(driver.instances[id_].values()):
        if each.state == "draining":
            driver.end(id_, each.name, "exit code 0")
    await shop.until_told("step_done", "close the database to the old password")


async def test_instances_get_the_new_password_and_the_old_one_is_closed(shop):
    databases = shop.stage.world.databases
    before = await shop.stored()
    assert databases.open[before.database] == {0}
    await shop.done(await rotate(shop))
    after = await shop.stored()
    assert after.status.live.login == after.spec.login == 1
    driver = shop.stage.world.driver
    serving = [i for i in driver.instances[after.id].values() if i.state == "serving"]
    given = {driver.environments[i.name]["DATABASE_URL"].reveal() for i in serving}
    assert given == {f"postgresql://{after.database}/1"}
    assert (after.status.live.number, after.status.live.digest) == (
        before.status.live.number,
        before.status.live.digest,
    )
    assert databases.open[before.database] == {0, 1}  # those that are leaving have the old one
    await until_closed(shop)
    assert databases.open[before.database] == {1}


async def test_nothing_else_is_touched(shop):
    await shop.arrive("production")
    before = {name: await shop.stored(name) for name in ("staging", "development")}
    previous = (await shop.stored()).status.previous
    await shop.done(await rotate(shop))
    assert {name: await shop.stored(name) for name in before} == before
    assert (await shop.stored()).status.previous == previous  # the version to go back to


async def test_a_replacement_that_fails_leaves_the_old_password_alone_open(shop):
    databases, driver = shop.stage.world.databases, shop.stage.world.driver
    held = await shop.stored()
    driver.broken.add(held.spec.digest)  # from now on it does not become ready
    change = await rotate(shop)
    await shop.until_told("step_done", "open the database to a new password")
    assert databases.open[held.database] == {0, 1}
    aborted = await shop.turn("abort")
    assert (aborted.status_code, aborted.json()["undo"]) == (202, "")  # the same version serves on
    assert not (await shop.ended(change))["succeeded"]
    after = await shop.stored()
    assert after.status.live.login == after.spec.login == 0
    await until_closed(shop)
    assert databases.open[held.database] == {0}


async def test_there_are_two_logins_so_the_second_replacement_waits_for_the_first(
    shop, monkeypatch
):
    await shop.done(await rotate(shop))
    await until_closed(shop)
    again = await rotate(shop)
    assert (again.status_code, again.json()["code"]) == (409, "still_leaving")
    office = shop.stage.app.state.desk.office

    class Later(SystemClock):
        def now(self):
            return super().now() + timedelta(minutes=5)

    shop.stage.app.state.desk = replace(
        shop.stage.app.state.desk, office=replace(office, clock=Later())
    )
    await shop.done(await rotate(shop))
    assert (await shop.stored()).spec.login == 2


async def test_what_has_no_database_has_no_password(shop):
    builder = shop.stage.world.builder
    builder.manifest = replace(builder.manifest, database=False)
    await shop.done(await shop.web.post("/api/services/blog/versions", content=b"archive"))
    refused = await shop.web.post("/api/environments/blog/private/services/blog/database/password")
    assert (refused.status_code, refused.json()["code"]) == (409, "no_database")


async def test_others_may_not(shop):
    where = "/api/environments/blog/private/services/blog/database/password"
    for name, status in ((BOB, 403), (EVE, 404), (None, 401)):
        async with shop.stage.client(name) as web:
            assert (await web.post(where)).status_code == status
