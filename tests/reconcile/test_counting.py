"""Everything that was served is counted once, in its minute, whenever the process dies."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from codestore.domain.canary import Tally
from codestore.domain.deployments import Deployment
from codestore.domain.environments import Kind
from codestore.domain.faults import Fault
from codestore.ports import Counters, Reading
from codestore.reconcile import counting
from codestore.reconcile.counting import EVERY, count, keep_count
from tests.reconcile.house import NOON, Breaking, House, effects_of, make_house, production
from tests.support.fakes import CrashError, ManualClock


class Ticking(ManualClock):
    """A clock that goes on by a second whenever it is looked at."""

    def now(self) -> datetime:
        self.pass_(1)
        return self.at


async def test_what_came_since_the_last_look_is_in_the_present_minute(
    house: House, shop: Deployment
) -> None:
    house.proxy.serve(shop.hash, 10, 1)
    await house.count(15)
    house.proxy.serve(shop.hash, 5, 2)
    await house.count(15)
    house.proxy.serve(shop.hash, 7)
    await house.count(45)  # from 12:00:30 to 12:01:15, a third of it in the later minute
    assert await house.minutes(shop) == {0: (19, 3), 1: (3, 0)}


async def test_a_look_at_which_nothing_is_new_adds_nothing(house: House, shop: Deployment) -> None:
    house.proxy.serve(shop.hash, 10, 1)
    for _ in range(5):
        await house.count(15)
    assert await house.minutes(shop) == {0: (10, 1)}


async def test_what_came_after_a_quiet_time_is_not_spread_over_it(
    house: House, shop: Deployment
) -> None:
    house.proxy.serve(shop.hash, 10)
    for _ in range(100):
        await house.count(15)
    house.proxy.serve(shop.hash, 30, 30)
    await house.count(10)
    assert await house.minutes(shop) == {0: (10, 0), 25: (30, 30)}


async def test_nobody_is_asked_when_nothing_is_promised(house: House) -> None:
    others = [replace(production(), kind=kind) for kind in Kind if kind is not Kind.PRODUCTION]
    await house.put(*others)
    await house.count(15)
    assert house.proxy.asked == []


async def test_only_what_is_promised_is_counted_and_all_of_it_at_once(
    house: House, shop: Deployment
) -> None:
    bar, staging = production(), replace(production(), kind=Kind.STAGING)
    await house.put(bar, staging)
    for number, each in enumerate((shop, bar, staging), 1):
        house.proxy.serve(each.hash, number)
    await house.count(15)
    assert house.proxy.asked == [[shop.hash, bar.hash]]
    assert [await house.total(each) for each in (shop, bar, staging)] == [(1, 0), (2, 0), (0, 0)]
    assert house.breaking.passed == 2 * 3 + 2  # two transactions and a reading, for both


async def test_while_the_gateway_is_away_nothing_is_counted_and_nothing_is_lost(
    house: House, shop: Deployment
) -> None:
    await house.count(60)
    house.proxy.away = True
    for _ in range(4):
        house.proxy.serve(shop.hash, 10, 1)
        with pytest.raises(Fault):
            await house.count(15)
    assert await house.minutes(shop) == {}
    house.proxy.away = False
    await house.count(60)
    assert await house.minutes(shop) == {1: (20, 2), 2: (20, 2)}


async def test_what_was_served_without_us_is_spread_over_our_absence(
    house: House, shop: Deployment
) -> None:
    house.proxy.serve(shop.hash, 10)
    await house.count(60)
    house.proxy.serve(shop.hash, 600, 60)
    await house.count(60 * 60)
    assert await house.total(shop) == (610, 60)
    held = await house.minutes(shop)
    assert [held[minute] for minute in (1, 17, 60)] == [(10, 1)] * 3


async def test_a_proxy_that_began_anew_is_counted_from_nothing(
    house: House, shop: Deployment
) -> None:
    house.proxy.serve(shop.hash, 100, 10)
    await house.count(15)
    house.proxy.restart()
    house.proxy.serve(shop.hash, 120, 11)  # more than before
    await house.count(15)
    house.proxy.restart()
    house.proxy.serve(shop.hash, 3)  # fewer
    await house.count(15)
    house.proxy.restart()
    await house.count(15)
    assert await house.total(shop) == (223, 21)


async def test_sources_go_on_when_the_gateway_of_this_process_began_anew(
    house: House, shop: Deployment
) -> None:
    """Its own counters begin at zero with every process of ours; those of the proxy do not."""
    house.proxy.run = "the proxy's"
    sources = {"one": Tally(100, 10), "gone": Tally(50, 0)}
    house.proxy.counters[shop.hash] = Counters(requests=150, failures=10, sources=sources)
    await house.count(15)
    house.proxy.epoch += 1
    sources = {"one": Tally(130, 12), "new": Tally(5, 1)}
    house.proxy.counters[shop.hash] = Counters(requests=5, failures=1, sources=sources)
    await house.count(15)
    assert await house.total(shop) == (185, 13)
    house.proxy.run = "another run"
    house.proxy.counters[shop.hash] = Counters(sources={"one": Tally(131, 12)})
    await house.count(15)
    assert await house.total(shop) == (316, 25)


async def test_sources_that_are_gone_are_forgotten_and_count_from_nothing_when_they_come_again(
    house: House, shop: Deployment
) -> None:
    house.proxy.run = "the proxy's"
    for sources, counted in (
        ({"one": Tally(100, 10), "trial": Tally(50, 0)}, (150, 10)),
        ({"one": Tally(100, 10)}, (150, 10)),
        ({"one": Tally(101, 10), "trial": Tally(45, 2)}, (196, 12)),
    ):
        house.proxy.counters[shop.hash] = Counters(sources=sources)
        await house.count(15)
        assert await house.total(shop) == counted
        assert await house.remembered() == {shop.id: sources}


async def test_of_one_that_is_removed_nothing_is_remembered(house: House, shop: Deployment) -> None:
    other = production()
    await house.put(other)
    for each in (shop, other):
        house.proxy.serve(each.hash, 9)
    await house.count(15)
    async with house.breaking.store.begin() as records:
        await records.remove(shop)
    await house.count(15)
    assert await house.remembered() == {other.id: {"": Tally(9, 0)}}
    assert await house.total(shop) == (9, 0)


async def test_one_that_a_reading_leaves_out_is_taken_up_where_it_was(
    house: House, shop: Deployment
) -> None:
    house.proxy.serve(shop.hash, 100)
    await house.count(15)
    kept = house.proxy.counters.pop(shop.hash)
    await house.count(15)
    house.proxy.counters[shop.hash] = kept
    house.proxy.serve(shop.hash, 1)
    await house.count(15)
    assert await house.total(shop) == (101, 0)


async def test_a_deployment_counts_from_its_birth(house: House, shop: Deployment) -> None:
    await house.count(15)
    late = replace(production(), created_at=NOON + timedelta(seconds=600))
    await house.put(late)
    house.proxy.serve(late.hash, 9, 9)
    await house.count(615)
    assert await house.minutes(late) == {10: (9, 9)}


async def test_one_that_is_removed_is_not_asked_for_any_more_and_its_hours_stay(
    house: House, shop: Deployment
) -> None:
    house.proxy.serve(shop.hash, 9)
    await house.count(15)
    async with house.breaking.store.begin() as records:
        await records.remove(shop)
    await house.count(15)
    assert house.proxy.asked == [[shop.hash]]
    assert await house.total(shop) == (9, 0)


async def test_a_crash_anywhere_loses_nothing_and_counts_nothing_twice() -> None:
    effects = await effects_of(lambda house: house.count(15))
    assert effects == 8
    for first in range(1, effects + 1):
        for second in range(1, effects + 1):
            house = make_house()
            shop = production()
            await house.put(shop)
            for number, at in enumerate((first, second, None), 1):
                house.proxy.serve(shop.hash, 10**number, number)
                house.breaking.at, house.breaking.passed = at, 0
                with suppress(CrashError):
                    await house.count(15)
            assert await house.total(shop) == (1110, 6), (first, second)


async def test_two_who_look_at_the_same_time_count_once(house: House, shop: Deployment) -> None:
    """One has read the counters, and writes when the other has already read and written more."""
    house.proxy.serve(shop.hash, 10, 1)
    await house.count(15)
    house.proxy.serve(shop.hash, 10, 1)
    waiting, late = asyncio.Event(), Breaking()

    async def reading(hashes: Collection[str]) -> Reading:
        found = await house.proxy.reading(hashes)
        await waiting.wait()
        return found

    late.reading = reading  # type: ignore[method-assign]
    traffic: Any = late
    clock = ManualClock(house.clock.at)
    slow = replace(house.doors, traffic=traffic, clock=clock)
    task = asyncio.create_task(count(slow))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    house.proxy.serve(shop.hash, 10, 1)
    await house.count(1)
    waiting.set()
    await task
    assert await house.total(shop) == (30, 3)
    await house.count(15)
    assert await house.total(shop) == (30, 3)


async def test_it_counts_and_judges_until_it_is_ended_and_looks_a_last_time(
    house: House, shop: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "EVERY", 0.001)
    house.proxy.away = True
    work = asyncio.create_task(keep_count(replace(house.doors, clock=Ticking(NOON))))
    await until(lambda: len(house.proxy.asked) > 3)
    house.proxy.away = False
    house.proxy.serve(shop.hash, 100, 50)
    async with asyncio.timeout(5):
        while not await house.events():
            await asyncio.sleep(0.001)
    monkeypatch.setattr(counting, "EVERY", 60)
    asked = len(house.proxy.asked)
    await until(lambda: len(house.proxy.asked) > asked)
    await asyncio.sleep(0.01)
    house.proxy.serve(shop.hash, 7)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert await house.total(shop) == (107, 50)
    assert EVERY == 15


async def test_a_last_look_does_not_hold_up_the_end(
    house: House, shop: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reading(hashes: Collection[str]) -> Reading:
        house.proxy.asked.append([])
        await asyncio.sleep(60)
        raise AssertionError

    monkeypatch.setattr(house.breaking, "reading", reading)
    monkeypatch.setattr(counting, "LAST", 0.01)
    work = asyncio.create_task(keep_count(house.doors))
    await until(lambda: bool(house.proxy.asked))
    work.cancel()
    async with asyncio.timeout(2):
        with pytest.raises(asyncio.CancelledError):
            await work
    assert len(house.proxy.asked) == 2


async def test_what_nobody_thought_of_does_not_end_the_counting(
    house: House, shop: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reading(hashes: Collection[str]) -> Reading:
        house.proxy.asked.append([])
        raise ValueError("not a number")

    monkeypatch.setattr(house.breaking, "reading", reading)
    monkeypatch.setattr(counting, "EVERY", 0.001)
    work = asyncio.create_task(keep_count(house.doors))
    await until(lambda: len(house.proxy.asked) > 3)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.001)
