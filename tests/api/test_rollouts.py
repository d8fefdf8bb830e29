"""A canary by word, by manifest or not at all; paused, resumed, given up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from codestore.domain.canary import Canary, Trial
from codestore.domain.deployments import Wish, retargeted
from codestore.domain.dials import Dials
from codestore.domain.routing import Route
from tests.api.shop import Shop, place
from tests.api.stage import BOB, Stage
from tests.api.test_dials import LONG, views_of
from tests.api.test_holds import refused

HALF = Canary((50, 100), 0.05)  # it is looked at each second


@pytest.fixture
async def shop(stage: Stage, web: httpx.AsyncClient) -> Shop:
    return await Shop(stage, web).open()


@asynccontextmanager
async def held_up(shop: Shop, effect: str) -> AsyncIterator[None]:
    """Have an effect of the driver wait until the block has ended."""
    gate, driver = asyncio.Event(), shop.stage.world.driver
    original = getattr(driver, effect)

    async def slow(*args: Any) -> Any:
        await gate.wait()
        return await original(*args)

    setattr(driver, effect, slow)
    try:
        yield
    finally:
        gate.set()
        setattr(driver, effect, original)


def begun(found: dict[str, Any]) -> bool:
    return bool(found["deployment"]["canary"] and found["deployment"]["canary"]["since"])


async def test_a_manifests_canary_is_asked_for_by_nobody_and_goes_well(shop: Shop) -> None:
    await shop.arrive(canary=HALF)
    answer = await shop.promote()
    canary = answer.json()["document"]["deployment"]["canary"]
    assert (canary["version"], canary["steps"], canary["percent"]) == ("0.0.2", [50, 100], 0)
    await shop.done(answer)
    assert await shop.events("canary") == ["50 % of the requests go to 0.0.2"]
    after = await shop.shown()
    assert (after["version"], after["previous"], after["canary"]) == ("0.0.2", "0.0.1", None)
    assert (after["marks"], after["hold"]) == ([], None)


async def test_no_canary_is_none_whatever_the_manifest_says(shop: Shop) -> None:
    await shop.arrive(canary=LONG)
    await shop.done(await shop.promote(canary=False))
    assert (await shop.shown())["version"] == "0.0.2"
    assert await shop.events("canary") == []


async def test_a_canary_by_word_is_the_manifests_or_the_usual_one(shop: Shop) -> None:
    await shop.arrive()
    wished = (await shop.promote(canary=True)).json()["document"]["deployment"]["canary"]
    assert (wished["steps"], wished["hold"], wished["error_rate"]) == ([5, 25, 100], 60.0, 0.01)
    await shop.ended(await shop.turn("abort"))
    await shop.arrive(canary=LONG)
    wished = (await shop.promote(canary=True)).json()["document"]["deployment"]["canary"]
    assert (wished["hold"], wished["error_rate"]) == (600.0, 0.5)


async def test_a_manifest_speaks_for_the_environment_it_names_only(shop: Shop) -> None:
    await shop.publish(canary=LONG)
    for name in ("development", "staging"):
        await shop.done(await shop.promote(name))
        assert await shop.events("canary", environment=name) == []


async def test_how_far_it_has_come_is_told(shop: Shop) -> None:
    shop.stage.world.traffic.canary = Trial(120, 3, left=2, waiting=1)
    await shop.arrive(canary=LONG)
    await shop.promote()
    found = await shop.until(begun)
    assert found["under_way"]
    assert (found["from_version"], found["to_version"]) == ("0.0.1", "0.0.2")
    assert (found["requests"], found["failures"], found["asked_by"]) == (120, 3, "ada")
    assert (found["left"], found["waiting"]) == (2, 1)
    canary = found["deployment"]["canary"]
    assert (canary["percent"], canary["next_percent"], canary["paused"]) == (5, 25, False)
    assert found["deployment"]["version"] == "0.0.1"
    assert canary["next_at"] > canary["since"]


async def test_too_many_failures_end_it_and_mark_it(shop: Shop) -> None:
    shop.stage.world.traffic.canary = Trial(40, 30)
    await shop.arrive(canary=LONG)
    ended = await shop.ended(await shop.promote())
    (problem,) = ended["problems"]
    assert problem["code"] == "canary_failed"
    assert "30 of the 40 requests" in problem["detail"]
    after = await shop.shown()
    assert (after["version"], after["state"], after["hold"]) == ("0.0.1", "ready", None)
    assert [mark["version"] for mark in after["marks"]] == ["0.0.2"]
    refused(await shop.promote(), "marked")


async def test_paused_it_stays_and_resumed_it_goes_on(shop: Shop) -> None:
    await shop.arrive(canary=Canary((50, 100), 1.0))
    under_way = (await shop.promote()).json()
    await shop.until(begun)
    paused = await shop.turn("pause")
    assert paused.status_code == 200
    told = paused.json()["deployment"]["canary"]
    assert (told["paused"], told["percent"], told["next_at"]) == (True, 50, None)
    generation = paused.json()["deployment"]["generation"]
    await asyncio.sleep(2.5)  # longer than it is held
    still = await shop.turn("pause")  # again: it is so already
    assert (still.status_code, still.json()["under_way"]) == (200, True)
    assert still.json()["deployment"]["canary"] == told
    resumed = await shop.turn("resume")
    assert resumed.json()["deployment"]["canary"]["paused"] is False
    assert resumed.json()["deployment"]["generation"] == generation
    assert (await shop.stage.concluded(shop.web, under_way))["succeeded"]
    assert await shop.events("canary") == [
        "50 % of the requests go to 0.0.2",
        "ada paused the canary of 0.0.2",
        "ada let the canary of 0.0.2 go on",
    ]
    assert not (await shop.stored()).spec.dials.paused


async def test_to_resume_what_is_not_paused_changes_nothing(shop: Shop) -> None:
    await shop.arrive(canary=LONG)
    await shop.promote()
    await shop.until(begun)
    before = await shop.stored()
    assert (await shop.turn("resume")).status_code == 200
    assert await shop.stored() == before


async def test_an_aborted_canary_has_failed_and_what_served_serves(shop: Shop) -> None:
    await shop.arrive(canary=LONG)
    under_way = (await shop.promote()).json()
    await shop.until(begun)
    async with shop.stage.client(BOB) as bob:
        answer = await bob.post(place("rollout/abort"))
    assert answer.status_code == 202
    change = answer.json()
    assert change["undo"] == "cs project:service:roll shop blog --env production --version 0.0.2"
    assert change["document"]["aborted_by"] == "bob"
    for waiting in (change, under_way):
        ended = await shop.stage.concluded(shop.web, waiting)
        (problem,) = ended["problems"]
        assert (problem["code"], problem["where"]) == ("aborted", "production")
        assert problem["detail"].startswith("bob aborted the change to 0.0.2.")
    after = await shop.rollout()
    assert not after["under_way"]
    assert after["aborted_by"] is None
    assert (after["deployment"]["version"], after["deployment"]["state"]) == ("0.0.1", "ready")
    assert [mark["version"] for mark in after["deployment"]["marks"]] == ["0.0.2"]
    await shop.done(await shop.roll("0.0.2"))  # as the undo says


async def test_who_aborts_first_is_named_and_a_turn_under_way_forgets_neither(shop: Shop) -> None:
    await shop.arrive()
    async with held_up(shop, "start"):
        under_way = (await shop.promote()).json()
        await shop.until_told("step_started", "start instance")
        async with shop.stage.client(BOB) as bob:
            assert (await bob.post(place("rollout/abort"))).json()["document"][
                "aborted_by"
            ] == "bob"
        assert (await shop.turn("abort")).json()["document"]["aborted_by"] == "bob"
        assert await shop.events("asked") == [
            "include blog 0.0.1 in shop",
            "promote blog 0.0.2 to production",
            "bob aborts the change to 0.0.2",
        ]
    (problem,) = (await shop.stage.concluded(shop.web, under_way))["problems"]
    assert problem["detail"].startswith("bob aborted")
    assert (await shop.stored()).spec.dials == Dials()


async def test_a_hold_and_a_pause_during_a_turn_are_kept(shop: Shop) -> None:
    await shop.arrive(canary=LONG)
    async with held_up(shop, "start"):
        await shop.promote()
        await shop.until_told("step_started", "start instance")
        assert (await shop.hold("the fair")).status_code == 200
        assert (await shop.turn("pause")).status_code == 200
    await shop.until_told("step_done", "start instance")
    found = await shop.until(lambda found: found["deployment"]["canary"]["paused"])
    assert not begun(found)
    assert (await shop.turn("resume")).status_code == 200
    found = await shop.until(begun)
    assert found["deployment"]["hold"]["reason"] == "the fair"


async def test_an_abort_that_comes_too_late_changes_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said while the turn runs that makes the new version live."""
    await shop.arrive()
    world = shop.stage.world
    gate, over = asyncio.Event(), asyncio.Event()
    publish = world.gateway.publish

    async def published(route: Route) -> None:
        await publish(route)
        over.set()
        await gate.wait()

    monkeypatch.setattr(world.gateway, "publish", published)
    under_way = (await shop.promote()).json()
    await asyncio.wait_for(over.wait(), 10)
    late = (await shop.turn("abort")).json()
    gate.set()
    for waiting in (under_way, late):
        assert (await shop.stage.concluded(shop.web, waiting))["succeeded"]
    async with asyncio.timeout(10):
        while (await shop.stored()).spec.dials != Dials():  # until the next turn
            await asyncio.sleep(0.02)
    assert (await shop.shown())["marks"] == []


@pytest.mark.parametrize("environment", ["private", "demo"])
async def test_any_change_can_be_aborted_by_the_owner(shop: Shop, environment: str) -> None:
    world = shop.stage.world
    digest = world.builder.next_digest
    if environment == "private":
        world.driver.broken.add(digest)
    under_way = (await shop.web.post("/api/services/blog/versions", content=b"archive")).json()
    if environment == "demo":
        assert (await shop.stage.concluded(shop.web, under_way))["succeeded"]
        world.driver.broken.add(digest)
        under_way = (await shop.web.post("/api/services/blog/promote")).json()
    async with shop.stage.client(BOB) as bob:
        if environment == "demo":
            assert (await bob.get(place("rollout", environment, "blog"))).json()["under_way"]
        refused(await bob.post(place("rollout/abort", environment, "blog")), "not_owner", 403)
    refused(await shop.web.post(place("rollout/pause", environment, "blog")), "no_canary")
    answer = await shop.web.post(place("rollout/abort", environment, "blog"))
    undo = {
        "private": "cs service:roll blog --env private --version 0.0.2",
        "demo": "cs promote blog",
    }
    assert answer.json()["undo"] == undo[environment]
    ended = await shop.stage.concluded(shop.web, under_way)
    assert [each["code"] for each in ended["problems"]] == ["aborted"]
    after = (await shop.web.get("/api/services/blog")).json()["environments"][environment]
    assert (after["version"], after["state"]) == ("0.0.1", "ready")


async def test_where_nothing_served_an_aborted_change_leaves_a_failed_deployment(
    stage: Stage, web: httpx.AsyncClient
) -> None:
    stage.world.driver.broken.add("digest0")
    await web.post("/api/services", params={"name": "blog"}, content=b"archive")
    change = (await web.post(place("rollout/abort", "private", "blog"))).json()
    assert change["document"]["from_version"] is None
    await stage.concluded(web, change)
    after = (await web.get(place("rollout", "private", "blog"))).json()
    assert (after["under_way"], after["deployment"]["state"]) == (False, "failed")
    assert after["deployment"]["failure"]["code"] == "aborted"


async def test_where_nothing_serves_a_canary_is_a_rollout_like_any_other(shop: Shop) -> None:
    digest = await shop.arrive(canary=LONG)
    held = await shop.stored()
    stopped = replace(held, status=replace(held.status, live=None))
    wish = Wish("ada", held.created_at, "promote", canary=LONG)
    shown = views_of(retargeted(stopped, "0.0.2", digest, wish))
    assert shown.canary is None


@pytest.mark.parametrize("word", ["pause", "resume", "abort"])
async def test_where_nothing_is_under_way_there_is_nothing_to_turn(shop: Shop, word: str) -> None:
    before = await shop.stored()
    told = refused(await shop.turn(word), "nothing_under_way")
    assert "0.0.1 serves" in told["detail"]
    assert await shop.stored() == before
    found = await shop.rollout()
    assert (found["under_way"], found["to_version"], found["requests"]) == (False, None, None)


@pytest.mark.parametrize("word", ["pause", "resume", "abort"])
async def test_a_removal_goes_on_whatever_is_said(shop: Shop, word: str) -> None:
    shop.stage.world.databases.away = True
    removal = (await shop.web.delete("/api/projects/shop/services/blog")).json()
    refused(await shop.turn(word), "removing")
    assert not (await shop.rollout())["under_way"]
    shop.stage.world.databases.away = False
    assert (await shop.stage.concluded(shop.web, removal))["succeeded"]


async def test_a_change_that_is_no_canary_is_not_paused(shop: Shop) -> None:
    digest = await shop.arrive()
    shop.stage.world.driver.broken.add(digest)
    await shop.promote()
    told = refused(await shop.turn("pause"), "no_canary")
    assert told["hint"] == "To give it up: cs rollout:abort shop blog --env production"
    assert (await shop.turn("resume")).status_code == 200


@pytest.mark.parametrize(
    ("owner", "environment", "service", "status"),
    [
        ("shop", "nowhere", "blog", 422),
        ("shop", "Production", "blog", 422),
        ("shop", "private", "blog", 404),
        ("blog", "production", "blog", 404),
        ("wiki", "private", "blog", 404),
        ("blog", "private", "wiki", 404),
        ("shop", "production", "wiki", 404),
        ("nobody", "production", "blog", 404),
        ("%00", "production", "blog", 404),
        ("shop", "%00", "blog", 422),
        ("shop", "production", "' OR 1=1 --", 404),
        ("svc-%00", "demo", "svc-%00", 404),
        ("shop", "production", "a" * 300, 404),
    ],
)
async def test_a_place_that_is_none_is_refused(
    shop: Shop, owner: str, environment: str, service: str, status: int
) -> None:
    await shop.stage.create(shop.web, "wiki")
    where = f"/api/environments/{owner}/{environment}/services/{service}/rollout"
    for method, path in (("GET", where), ("POST", f"{where}/pause"), ("POST", f"{where}/abort")):
        answer = await shop.web.request(method, path)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.text) < 1000


@pytest.mark.parametrize(
    "how",
    [{"canary": "perhaps"}, {"canary": [5, 100]}, {"force": None}, {"canary": {"steps": [5]}}],
)
async def test_a_promotion_of_another_shape_is_refused(shop: Shop, how: dict[str, Any]) -> None:
    await shop.arrive()
    before = await shop.stored()
    assert (await shop.promote(**how)).status_code == 422
    assert await shop.stored() == before
