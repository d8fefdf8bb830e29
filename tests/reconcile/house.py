"""A house in which is counted: a proxy that serves, a store that breaks where told, a clock."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from codestore.domain.canary import Tally
from codestore.domain.deployments import Deployment
from codestore.domain.environments import Kind
from codestore.domain.events import Event
from codestore.domain.faults import unavailable
from codestore.domain.manifest import Manifest, Run, RunKind
from codestore.domain.promise import MINUTE, Hour
from codestore.ports import Counters, Reading, Records
from codestore.reconcile.counting import count, judge
from codestore.reconcile.doors import Doors
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


def production(**more: Any) -> Deployment:
    return replace(nouns.deployment(), kind=Kind.PRODUCTION, created_at=NOON, **more)


async def effects_of(work: Callable[[House], Any]) -> int:
    """Return at how many places a piece of work can be broken off."""
    house = make_house()
    await house.put(production())
    house.breaking.passed = 0
    await work(house)
    return house.breaking.passed
