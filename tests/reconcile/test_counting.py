"""Everything that was served is counted once, in its minute, whenever the process dies."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from codestore.domain.budgeting import burn_of
from codestore.domain.canary import Tally
from codestore.domain.conditions import ConditionType, Truth, find
from codestore.domain.deployments import Deployment
from codestore.domain.environments import Kind
from codestore.domain.events import Event
from codestore.domain.faults import Fault, unavailable
from codestore.domain.manifest import Manifest, Run, RunKind
from codestore.domain.promise import MINUTE, Hour
from codestore.ports import Counters, Reading, Records
from codestore.reconcile import counting, housekeeping
from codestore.reconcile.counting import EVERY, count, judge, keep_count
from codestore.reconcile.doors import Doors
from codestore.reconcile.housekeeping import tidy
from codestore.store.memory import MemoryStore
from tests.store import nouns
from tests.support.fakes import CrashError, ManualClock, make_world

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MANIFEST = Manifest("blog", Run(RunKind.ASGI, ("app:app",)))


@dataclass
class Proxy:
    """The Traffic door, of which only readings are asked: counts until it is started anew."""

    epoch: int = 0
    run: str = ""
    counters: dict[str, Counters] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    away: bool = False

    def serve(self, hash_: str, requests: int, failures: int = 0) -> None:
        held = self.counters.get(hash_, Counters())
        self.counters[hash_] = replace(
            held, requests=held.requests + requests, failures=held.failures + failures
        )

    def restart(self) -> None:
        self.epoch, self.counters = self.epoch + 1, {}

    async def reading(self, hashes: Collection[str]) -> Reading:
        self.asked.append(list(hashes))
        if self.away:
            raise unavailable("gateway_unavailable", "The gateway does not answer", "no")
        found = {hash_: self.counters[hash_] for hash_ in hashes if hash_ in self.counters}
        return Reading(str(self.epoch), found, self.run)

    async def active(self, hash_: str) -> Mapping[str, int]:
        raise AssertionError

    async def loads(self, hashes: Collection[str]) -> Mapping[str, int]:
        raise AssertionError

    async def split(self, hash_: str, revision: int) -> Tally:
        raise AssertionError

    def idle_since(self, hash_: str, within: float) -> datetime | None:
        raise AssertionError

    def touch(self, hash_: str) -> None:
        raise AssertionError


class Breaking:
    """A store, and a proxy's readings, that crash before or after their number ``at``."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.proxy = Proxy()
        self.at: int | None = None
        self.passed = 0
        self.meanwhile: Callable[[], Any] | None = None

    async def pass_(self) -> None:
        self.passed += 1
        if self.passed == self.at:
            if self.meanwhile is None:
                raise CrashError
            await self.meanwhile()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Records]:
        await self.pass_()
        async with self.store.begin() as records:
            yield records
            if self.meanwhile is None:
                await self.pass_()  # everything is written, nothing is committed
        await self.pass_()

    async def reading(self, hashes: Collection[str]) -> Reading:
        await self.pass_()
        found = await self.proxy.reading(hashes)
        await self.pass_()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


@dataclass
class House:
    """The doors, a clock that moves when told to, and what was served."""

    doors: Doors
    proxy: Proxy
    clock: ManualClock
    breaking: Breaking
    logs: dict[str, list[str]]

    async def put(self, *deployments: Deployment) -> None:
        async with self.breaking.store.begin() as records:
            await records.put(*deployments)

    async def get(self, deployment: Deployment) -> Deployment:
        async with self.breaking.store.begin() as records:
            (found,) = await records.find(Deployment, id=deployment.id)
        return found

    async def hours(self, deployment: Deployment) -> list[Hour]:
        ages = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
        async with self.breaking.store.begin() as records:
            return await records.tallies.hours(deployment.id, *ages)

    async def minutes(self, deployment: Deployment) -> dict[int, tuple[int, int]]:
        """Return (requests, failures) of the minutes that have any, by minutes after noon."""
        return {
            (hour.start - NOON) // MINUTE + number: pair
            for hour in await self.hours(deployment)
            for number, pair in enumerate(zip(hour.requests, hour.failures, strict=True))
            if any(pair)
        }

    async def total(self, deployment: Deployment) -> tuple[int, int]:
        held = [hour.total for hour in await self.hours(deployment)]
        return sum(each.requests for each in held), sum(each.failures for each in held)

    async def remembered(self) -> Mapping[str, Mapping[str, Tally]]:
        """Return what the counters are known to have said."""
        async with self.breaking.store.begin() as records:
            seen = await records.tallies.last()
        return {} if seen is None else seen.totals

    async def events(self) -> list[Event]:
        async with self.breaking.store.begin() as records:
            return await records.events(0, 1000)

    async def count(self, seconds: float = 0) -> None:
        self.clock.pass_(seconds)
        await count(self.doors)

    async def minute(self, deployment: Deployment, requests: int, failures: int = 0) -> None:
        """Let a minute pass in which so many came; count and judge at its end."""
        self.proxy.serve(deployment.hash, requests, failures)
        await self.count(60)
        await judge(self.doors)


def make_house() -> House:
    breaking = Breaking()
    world = make_world(breaking.store, MANIFEST)
    world.clock.at = NOON
    traffic: Any = breaking
    store: Any = breaking
    doors = replace(world.doors, store=store, traffic=traffic)
    logs: dict[str, list[str]] = {}

    async def note(deployment: str, text: str) -> None:
        logs.setdefault(deployment, []).append(text)

    world.driver.note = note  # type: ignore[method-assign]
    return House(doors, breaking.proxy, world.clock, breaking, logs)


class Ticking(ManualClock):
    """A clock that goes on by a second whenever it is looked at."""

    def now(self) -> datetime:
        self.pass_(1)
        return self.at


def production(**more: Any) -> Deployment:
    return replace(nouns.deployment(), kind=Kind.PRODUCTION, created_at=NOON, **more)


@pytest.fixture
def house() -> House:
    return make_house()


@pytest.fixture
async def shop(house: House) -> Deployment:
    made = production()
    await house.put(made)
    return made


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


async def effects_of(work: Callable[[House], Any]) -> int:
    """Return at how many places a piece of work can be broken off."""
    house = make_house()
    await house.put(production())
    house.breaking.passed = 0
    await work(house)
    return house.breaking.passed


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


async def test_old_hours_and_events_are_thrown_away_when_the_house_is_tidied(
    house: House, shop: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "FORGOTTEN", 2)
    house.proxy.serve(shop.hash, 5)
    await house.count(15)
    async with house.breaking.store.begin() as records:
        await records.emit(*(nouns.event(shop.id, str(n), at=NOON) for n in range(5)))
    house.clock.at = datetime(2027, 4, 30, 23, tzinfo=UTC)
    await tidy(house.doors, 1)
    assert await house.total(shop) == (5, 0)
    assert len(await house.events()) == 5
    house.clock.at = datetime(2027, 5, 1, tzinfo=UTC)
    await tidy(house.doors, 1)
    assert await house.total(shop) == (0, 0)
    assert await house.events() == []


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


class Counting(RuleBasedStateMachine):
    """Two deployments are called, everything restarts; what is counted is what could be known."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.house = make_house()
        self.held = [production(), production()]
        self.run(self.house.put(*self.held))
        self.counted = {each.id: [0, 0] for each in self.held}
        self.waiting = {each.id: [0, 0] for each in self.held}

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @rule(index=st.integers(0, 1), good=st.integers(0, 1000), bad=st.integers(0, 100))
    def callers_come(self, index: int, good: int, bad: int) -> None:
        deployment = self.held[index]
        self.house.proxy.serve(deployment.hash, good + bad, bad)
        waiting = self.waiting[deployment.id]
        waiting[:] = [waiting[0] + good + bad, waiting[1] + bad]

    @rule(seconds=st.sampled_from([1, 14, 15, 59, 61, 3600, 40_000, 200_000, -2, -86_400]))
    def time_passes(self, seconds: int) -> None:
        self.house.clock.pass_(seconds)

    @rule()
    def the_proxy_restarts(self) -> None:
        """What it had counted since the last look is known to nobody."""
        self.house.proxy.restart()
        for waiting in self.waiting.values():
            waiting[:] = [0, 0]

    @rule(at=st.integers(1, 8))
    def a_look_with_a_crash(self, at: int) -> None:
        breaking = self.house.breaking
        breaking.at, breaking.passed = at, 0
        self.look()
        breaking.at = None

    @rule()
    def look(self) -> None:
        async def last() -> Any:
            async with self.house.breaking.store.begin() as records:
                return await records.tallies.last()

        before = self.run(last())
        with suppress(CrashError):
            self.run(count(self.house.doors))
        if self.run(last()) != before:
            for id_, waiting in self.waiting.items():
                counted = self.counted[id_]
                counted[:] = [counted[0] + waiting[0], counted[1] + waiting[1]]
                waiting[:] = [0, 0]

    @invariant()
    def everything_is_counted_once(self) -> None:
        for deployment in self.held:
            total = self.run(self.house.total(deployment))
            assert list(total) == self.counted[deployment.id]

    def teardown(self) -> None:
        self.house.clock.pass_(200_000)
        self.look()
        assert not any(any(waiting) for waiting in self.waiting.values())
        self.everything_is_counted_once()
        self.loop.close()


TestCounting = Counting.TestCase
TestCounting.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
