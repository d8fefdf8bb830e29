"""A rollback stays put; a hold is a person's word, and a mark is a memory of what went wrong."""

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from codestore.actions.holds import left_behind
from codestore.domain.canary import Canary
from codestore.domain.environments import Kind
from codestore.domain.instances import InstanceState
from tests.api.shop import Shop, place
from tests.api.stage import BOB, EVE, Stage
from tests.api.test_standby import live

REASONS = ["a\nb", "a\0b", "\ud800", "\x1b[31m", "x" * 501, "\u202eevil", "a\u2028b"]
JSON = {"content-type": "application/json"}


@pytest.fixture
async def shop(stage: Stage, web: httpx.AsyncClient) -> Shop:
    return await Shop(stage, web).open()


def refused(answer: httpx.Response, code: str, status: int = 409) -> dict[str, Any]:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_hold_is_no_change_and_is_told(shop: Shop) -> None:
    before = await shop.shown()
    assert (before["hold"], before["marks"], before["previous"]) == (None, [], None)
    answer = await shop.hold("until the fair is over")
    assert answer.status_code == 200
    held = answer.json()
    assert held["hold"]["by"] == "ada"
    assert held["hold"]["reason"] == "until the fair is over"
    assert (held["generation"], held["state"]) == (before["generation"], "ready")
    assert await shop.shown() == held
    assert await shop.events("held") == ["held by ada: until the fair is over"]
    free = (await shop.unhold()).json()
    assert free == before
    (told,) = await shop.events("released")
    assert told == "ada let it move on; it was held by ada: until the fair is over"


async def test_a_hold_twice_is_one_and_another_reason_takes_its_place(shop: Shop) -> None:
    first = (await shop.hold()).json()["hold"]
    assert first["reason"] == "no reason was given"
    assert (await shop.hold()).json()["hold"] == first
    second = (await shop.hold("  the fair ")).json()["hold"]
    assert (second["reason"], second["at"] > first["at"]) == ("the fair", True)
    assert (await shop.hold("the fair")).json()["hold"] == second
    assert (await shop.hold()).json()["hold"] == second
    assert len(await shop.events("held")) == 2
    for _ in range(2):
        assert (await shop.unhold()).json()["hold"] is None
    assert len(await shop.events("released")) == 1


async def test_a_colleague_may_hold_and_is_named(shop: Shop, stage: Stage) -> None:
    async with stage.client(BOB) as bob:
        answer = await bob.post(place("hold"), json={"reason": "I look into it"})
    assert answer.json()["hold"]["by"] == "bob"
    assert answer.json()["key"] is None


async def test_nobody_promotes_over_a_hold_not_even_by_force(shop: Shop) -> None:
    await shop.arrive()
    await shop.hold("the fair")
    before = await shop.stored()
    for how in ({}, {"force": True}, {"canary": True}):
        told = refused(await shop.promote(**how), "held")
        assert "held by ada since" in told["detail"]
        assert "the fair" in told["detail"]
        assert told["hint"] == "cs unhold shop blog --env production"
    assert await shop.stored() == before
    await shop.unhold()
    await shop.done(await shop.promote())


async def test_a_hold_of_one_environment_says_nothing_of_the_others(shop: Shop) -> None:
    await shop.hold(environment="staging")
    await shop.publish()
    await shop.done(await shop.promote("development"))
    refused(await shop.promote("staging"), "held")
    assert (await shop.shown("production"))["hold"] is None


async def test_a_hold_does_not_stop_the_change_under_way(shop: Shop) -> None:
    digest = await shop.arrive()
    driver = shop.stage.world.driver
    driver.broken.add(digest)
    under_way = (await shop.promote()).json()
    held = (await shop.hold("no more after this one")).json()
    assert (held["state"], held["hold"]["by"]) == ("deploying", "ada")
    id_ = (await shop.stored()).id
    driver.broken.discard(digest)
    for name in list(driver.instances[id_]):
        driver._move(id_, name, InstanceState.STARTING, InstanceState.READY)
    assert (await shop.stage.concluded(shop.web, under_way))["succeeded"]
    assert (await shop.shown())["hold"] == held["hold"]


async def test_a_rollback_holds_and_marks_and_moving_on_ends_both(shop: Shop) -> None:
    await shop.arrive("production")
    before = await shop.shown()
    assert (before["version"], before["previous"]) == ("0.0.2", "0.0.1")
    answer = await shop.roll("0.0.1")
    accepted = answer.json()["document"]["deployment"]  # at once, and not when it is live
    assert accepted["hold"]["reason"] == "rolled back from 0.0.2 to 0.0.1"
    assert (accepted["state"], accepted["hold"]["by"]) == ("deploying", "ada")
    await shop.done(answer)
    back = await shop.shown()
    assert (back["version"], back["hold"]) == ("0.0.1", accepted["hold"])
    assert [(mark["version"], mark["by"]) for mark in back["marks"]] == [("0.0.2", "ada")]
    assert back["previous"] is None  # nothing is to go back from here by itself
    live = (await shop.stored()).status.live
    assert live is not None
    assert live.returned
    assert await shop.events("held") == ["held by ada: rolled back from 0.0.2 to 0.0.1"]
    refused(await shop.promote(), "held")

    undo = answer.json()["undo"]
    assert undo == "cs project:service:roll shop blog --env production --version 0.0.2"
    await shop.done(await shop.roll("0.0.2"))
    again = await shop.shown()
    assert (again["version"], again["hold"], again["marks"]) == ("0.0.2", None, [])
    assert await shop.events("released") == [
        "ada moved on to 0.0.2; it was held by ada: rolled back from 0.0.2 to 0.0.1"
    ]


async def test_a_way_on_that_fails_leaves_it_held(shop: Shop) -> None:
    digest = await shop.arrive("production")
    await shop.done(await shop.roll("0.0.1"))
    held = (await shop.shown())["hold"]
    shop.stage.world.driver.unhealthy.add(digest)
    for _ in range(2):
        assert not (await shop.ended(await shop.roll("0.0.2")))["succeeded"]
        after = await shop.shown()
        assert (after["version"], after["hold"]["reason"]) == ("0.0.1", held["reason"])
        assert [mark["version"] for mark in after["marks"]] == ["0.0.2"]
        assert (await shop.events("failed"))[-1].endswith("It stays held.")
        refused(await shop.promote(), "held")
    shop.stage.world.driver.unhealthy.clear()
    await shop.done(await shop.roll("0.0.2"))  # what a way back holds is held no more
    assert (await shop.shown())["hold"] is None


async def test_a_way_further_back_that_fails_leaves_the_hold_before(shop: Shop) -> None:
    first = (await shop.stored()).spec.digest
    for _ in range(2):
        await shop.arrive("production")
    await shop.done(await shop.roll("0.0.2"))
    held = (await shop.shown())["hold"]
    shop.stage.world.driver.unhealthy.add(first)
    assert not (await shop.ended(await shop.roll("0.0.1")))["succeeded"]
    assert (await shop.shown())["hold"] == held


async def test_moving_on_to_another_version_keeps_the_memory_of_the_bad_one(shop: Shop) -> None:
    await shop.arrive("production")
    await shop.done(await shop.roll("0.0.1"))
    await shop.publish()
    await shop.done(await shop.roll("latest"))
    after = await shop.shown()
    assert (after["version"], after["hold"]) == ("0.0.3", None)
    assert [mark["version"] for mark in after["marks"]] == ["0.0.2"]


async def test_a_hold_by_hand_outlives_every_roll(shop: Shop) -> None:
    await shop.arrive("production")
    held = (await shop.hold("the fair")).json()["hold"]
    for version in ("0.0.1", "0.0.2", "0.0.1"):
        await shop.done(await shop.roll(version))
        assert (await shop.shown())["hold"] == held
    assert [mark["version"] for mark in (await shop.shown())["marks"]] == ["0.0.2"]
    assert len(await shop.events("held")) == 1
    assert await shop.events("released") == []


async def test_a_rollbacks_hold_becomes_ones_own_with_a_reason_of_ones_own(shop: Shop) -> None:
    await shop.arrive("production")
    await shop.done(await shop.roll("0.0.1"))
    mine = (await shop.hold("I look into it")).json()["hold"]
    await shop.done(await shop.roll("0.0.2"))
    assert (await shop.shown())["hold"] == mine


async def test_a_second_rollback_says_so(shop: Shop) -> None:
    await shop.arrive("production")
    await shop.arrive("production")
    await shop.done(await shop.roll("0.0.2"))
    await shop.done(await shop.roll("0.0.1"))
    after = await shop.shown()
    assert after["hold"]["reason"] == "rolled back from 0.0.2 to 0.0.1"
    assert [mark["version"] for mark in after["marks"]] == ["0.0.3", "0.0.2"]
    assert await shop.events("released") == []


async def test_a_rollback_that_fails_leaves_neither_hold_nor_mark_on_what_serves(
    shop: Shop,
) -> None:
    old = (await shop.stored()).spec.digest
    await shop.arrive("production")
    shop.stage.world.driver.unhealthy.add(old)
    assert not (await shop.ended(await shop.roll("0.0.1")))["succeeded"]
    after = await shop.shown()
    assert (after["version"], after["hold"]) == ("0.0.2", None)
    assert [mark["version"] for mark in after["marks"]] == ["0.0.1"]
    held = (await shop.hold("the fair")).json()["hold"]
    assert not (await shop.ended(await shop.roll("0.0.1")))["succeeded"]
    assert (await shop.shown())["hold"] == held


async def test_unhold_keeps_marks_and_a_marked_version_needs_force(shop: Shop) -> None:
    await shop.arrive("production")
    await shop.done(await shop.roll("0.0.1"))
    marks = (await shop.shown())["marks"]
    assert (await shop.unhold()).json()["marks"] == marks
    before = await shop.stored()
    told = refused(await shop.promote(), "marked")
    assert "0.0.2 is marked in production since" in told["detail"]
    assert "by ada: rolled back from 0.0.2 to 0.0.1" in told["detail"]
    assert told["hint"].endswith("cs project:service:promote shop blog --to production --force")
    assert await shop.stored() == before
    await shop.done(await shop.promote(force=True))
    after = await shop.shown()
    assert (after["version"], after["marks"], after["hold"]) == ("0.0.2", [], None)


async def test_a_mark_is_of_its_environment_alone(shop: Shop) -> None:
    await shop.arrive("production")
    await shop.done(await shop.roll("0.0.1", "staging"))
    await shop.unhold("staging")
    refused(await shop.promote("staging"), "marked")
    assert (await shop.shown("production"))["marks"] == []


async def test_a_version_that_failed_is_marked_and_the_next_one_is_not(shop: Shop) -> None:
    digest = await shop.arrive()
    shop.stage.world.driver.unhealthy.add(digest)
    ended = await shop.ended(await shop.promote())
    assert [each["code"] for each in ended["problems"]] == ["unhealthy"]
    (mark,) = (await shop.shown())["marks"]
    assert (mark["version"], mark["reason"]) == ("0.0.2", "The health check failed")
    assert (await shop.shown())["hold"] is None
    refused(await shop.promote(), "marked")
    assert not (await shop.ended(await shop.promote(force=True)))["succeeded"]
    refused(await shop.promote(), "marked")
    await shop.arrive("production")
    assert [mark["version"] for mark in (await shop.shown())["marks"]] == ["0.0.2"]


async def test_rolling_to_what_served_before_is_a_way_back_even_if_it_is_higher(
    shop: Shop,
) -> None:
    await shop.arrive("production")
    await shop.done(await shop.roll("0.0.1", "staging"))
    await shop.done(await shop.promote())  # production follows staging, down
    down = await shop.shown()
    assert (down["version"], down["previous"], down["hold"]) == ("0.0.1", "0.0.2", None)
    await shop.done(await shop.roll("0.0.2"))
    back = await shop.shown()
    assert back["hold"]["reason"] == "rolled back from 0.0.1 to 0.0.2"
    assert [mark["version"] for mark in back["marks"]] == ["0.0.1"]


def test_where_nothing_serves_no_way_is_a_way_back() -> None:
    held = live(Kind.PRODUCTION)
    assert left_behind(held, "0.0.0") == "0.0.1"
    assert left_behind(held, "0.0.2") is None
    empty = replace(held, status=replace(held.status, live=None))
    assert left_behind(empty, "0.0.0") is None


@pytest.mark.parametrize(("number", "back"), [("0.0.9", True), ("0.0.11", False), ("0.1.0", False)])
def test_versions_are_compared_as_numbers(number: str, back: bool) -> None:
    held = live(Kind.PRODUCTION)
    assert held.status.live is not None
    ten = replace(held.status.live, number="0.0.10")
    held = replace(held, status=replace(held.status, live=ten))
    assert (left_behind(held, number) == "0.0.10") is back


async def test_a_roll_is_let_in_all_at_once_also_if_its_manifest_has_a_canary(shop: Shop) -> None:
    """It is what mends things: it must be quick, and a person named the version."""
    await shop.arrive(canary=Canary((5, 100), 600.0))
    await shop.done(await shop.roll("latest"))
    assert (await shop.shown())["version"] == "0.0.2"
    assert await shop.events("canary") == []


@pytest.mark.parametrize("reason", REASONS)
async def test_a_reason_is_one_line_of_plain_text(shop: Shop, reason: str) -> None:
    before = await shop.stored()
    body = json.dumps({"reason": reason})  # JSON can say what UTF-8 cannot
    answer = await shop.web.post(place("hold"), content=body, headers=JSON)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] in ("bad_reason", "bad_request")
    assert await shop.stored() == before


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"reason": null}', b'{"reason": ["a"]}', b'{"reason": {"a": 1}}', b"7"]
)
async def test_a_hold_of_another_shape_is_refused(shop: Shop, body: bytes) -> None:
    answer = await shop.web.post(place("hold"), content=body, headers=JSON)
    assert answer.status_code == 422
    assert (await shop.shown())["hold"] is None


@pytest.mark.parametrize("environment", ["private", "demo", "nowhere", "%00", "Production", ".."])
async def test_only_a_projects_environments_are_held(shop: Shop, environment: str) -> None:
    for method in ("POST", "DELETE"):
        path = place("hold", environment, "blog")
        answer = await shop.web.request(method, path, json={} if method == "POST" else None)
        assert answer.status_code in (404, 422), answer.text


async def test_another_organization_neither_holds_nor_learns(shop: Shop, stage: Stage) -> None:
    await shop.hold("a secret of ours")
    async with stage.client(EVE) as eve:
        for method, what in (
            ("POST", "hold"),
            ("DELETE", "hold"),
            ("GET", "rollout"),
            ("POST", "rollout/pause"),
            ("POST", "rollout/resume"),
            ("POST", "rollout/abort"),
        ):
            for name in ("production", "private"):
                owner = "shop" if name == "production" else "blog"
                body = {"reason": "x"} if (method, what) == ("POST", "hold") else None
                answer = await eve.request(method, place(what, name, owner), json=body)
                hidden = 422 if (what, name) == ("hold", "private") else 404
                assert answer.status_code == hidden, (method, what, answer.text)
                assert "secret" not in answer.text
    assert (await shop.shown())["hold"]["reason"] == "a secret of ours"


async def test_what_is_being_removed_is_not_held(shop: Shop) -> None:
    shop.stage.world.databases.away = True  # so that it takes a while
    removal = (await shop.web.delete("/api/projects/shop/services/blog")).json()
    refused(await shop.hold("no"), "removing")
    shop.stage.world.databases.away = False
    assert (await shop.stage.concluded(shop.web, removal))["succeeded"]
    refused(await shop.hold("no"), "service_in_this_project_not_found", 404)
