"""An alarm begins when too many fail, is told once, and ends when they do no more."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from codestore.domain.budgeting import burn_of
from codestore.domain.conditions import ConditionType, Truth, find
from codestore.domain.deployments import Deployment
from codestore.reconcile.counting import judge
from tests.reconcile.house import House, effects_of, make_house, production
from tests.support.fakes import CrashError


async def test_too_many_failures_begin_an_alarm_that_ends_when_they_do(
    house: House, shop: Deployment
) -> None:
    for _ in range(30):
        await house.minute(shop, 100)
    assert await house.events() == []
    for _ in range(10):
        await house.minute(shop, 100, 50)
    (begun,) = await house.events()
    assert begun.kind == "budget_burning"
    assert begun.deployment == shop.id
    assert begun.message == (
        "The error budget burns fast: 50 of 3,100 requests failed in 1 h, "
        "16.1 times as many as promised; nothing of this month's is left."
    )
    held = await house.get(shop)
    told = find(held.status.conditions, ConditionType.WITHIN_BUDGET)
    assert told is not None
    assert (told.truth, told.reason, told.message, told.since) == (
        Truth.FALSE,
        "BurningFast",
        begun.message,
        begun.at,
    )
    for _ in range(7 * 60):
        await house.minute(shop, 100)
    assert (await house.get(shop)).status.conditions != held.status.conditions
    for _ in range(3 * 24 * 60):
        house.proxy.serve(shop.hash, 100)
        house.clock.pass_(60)
    await house.count()
    await judge(house.doors)
    events = await house.events()
    assert [event.kind for event in events] == ["budget_burning", "budget_calm"]
    assert burn_of(await house.get(shop)) is None
    assert house.logs == {shop.id: [event.message for event in events]}


async def test_404s_or_few_failures_begin_no_alarm(house: House, shop: Deployment) -> None:
    for _ in range(10):
        await house.minute(shop, 10)
    await house.minute(shop, 10, 1)
    await house.minute(shop, 10, 3)
    assert await house.events() == []
    assert (await house.get(shop)) == shop


async def test_an_alarm_that_goes_on_is_told_once_and_written_once(
    house: House, shop: Deployment
) -> None:
    await house.minute(shop, 100, 50)
    watch = house.breaking.store.watch()
    assert await anext(watch) == "*"
    for _ in range(5):
        await house.minute(shop, 100, 50)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(watch)
    assert len(await house.events()) == 1


async def test_a_faster_alarm_is_news_and_a_slower_one_is_not(
    house: House, shop: Deployment
) -> None:
    for _ in range(3 * 60):
        await house.minute(shop, 100, 1)  # ten times as many as promised: one in a hundred
    assert [event.message.split()[4] for event in await house.events()] == ["steadily:"]
    for _ in range(10):
        await house.minute(shop, 100, 100)
    events = await house.events()
    assert [event.message.split()[4] for event in events] == ["steadily:", "fast:"]
    for _ in range(90):
        await house.minute(shop, 100)
    burn = burn_of(await house.get(shop))
    assert burn is not None
    assert burn.pace != "fast"
    assert await house.events() == events


async def test_an_alarm_does_not_touch_what_a_turn_has_written_meanwhile(
    house: House, shop: Deployment
) -> None:
    house.proxy.serve(shop.hash, 100, 50)
    await house.count(30)

    async def turn() -> None:
        changed = replace(shop, status=replace(shop.status, serving=2))
        await house.put(changed)

    house.breaking.meanwhile, house.breaking.at, house.breaking.passed = turn, 2, 0
    await judge(house.doors)  # after it has read what there is, before it writes
    held = await house.get(shop)
    assert burn_of(held) is not None
    assert held.status.serving == 2


async def test_one_that_is_gone_by_then_is_not_brought_back(house: House, shop: Deployment) -> None:
    house.proxy.serve(shop.hash, 100, 50)
    await house.count(30)

    async def removal() -> None:
        async with house.breaking.store.begin() as records:
            await records.remove(shop)

    house.breaking.meanwhile, house.breaking.at, house.breaking.passed = removal, 2, 0
    await judge(house.doors)
    async with house.breaking.store.begin() as records:
        assert await records.find(Deployment) == []
    assert await house.events() == []


async def test_two_who_judge_at_the_same_time_tell_an_alarm_once(
    house: House, shop: Deployment
) -> None:
    house.proxy.serve(shop.hash, 100, 50)
    await house.count(30)

    async def other() -> None:
        house.breaking.at = None
        await judge(house.doors)

    house.breaking.meanwhile, house.breaking.at, house.breaking.passed = other, 2, 0
    await judge(house.doors)
    assert [event.kind for event in await house.events()] == ["budget_burning"]


async def test_an_alarm_ends_when_nobody_comes_any_more(house: House, shop: Deployment) -> None:
    house.proxy.serve(shop.hash, 100, 50)
    await house.count(30)
    await judge(house.doors)
    await house.count(4 * 86_400)
    await judge(house.doors)
    assert [event.kind for event in await house.events()] == ["budget_burning", "budget_calm"]


async def test_an_alarm_does_not_wait_for_a_failure_in_the_new_hour(
    house: House, shop: Deployment
) -> None:
    house.clock.pass_(3590)
    await house.count()
    house.proxy.serve(shop.hash, 100, 50)
    await house.count(5)
    house.clock.pass_(30)
    await judge(house.doors)
    assert [event.kind for event in await house.events()] == ["budget_burning"]


async def test_a_crash_while_judging_tells_an_alarm_once() -> None:
    async def work(house: House) -> None:
        async with house.breaking.store.begin() as records:
            (shop,) = await records.find(Deployment)
        house.proxy.serve(shop.hash, 100, 50)
        at, house.breaking.at = house.breaking.at, None
        await house.count(30)
        house.breaking.at, house.breaking.passed = at, 0
        await judge(house.doors)

    effects = await effects_of(work)
    assert effects == 6
    for at in range(1, effects + 1):
        house = make_house()
        shop = production()
        await house.put(shop)
        house.breaking.at = at
        with suppress(CrashError):
            await work(house)
        house.breaking.at = None
        await judge(house.doors)
        assert [event.kind for event in await house.events()] == ["budget_burning"], at
        assert burn_of(await house.get(shop)) is not None
