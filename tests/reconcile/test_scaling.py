"""Scaling on a world in memory: what the load asks for becomes an intent, and then instances."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from pathlib import Path

import pytest

from codestore.actions import projects, services
from codestore.actions.office import Office
from codestore.actions.services import Submission
from codestore.domain.deployments import Deployment, rescaled
from codestore.domain.environments import Kind
from codestore.domain.events import Event, EventKind
from codestore.domain.faults import unavailable
from codestore.domain.instances import InstanceState
from codestore.domain.manifest import Manifest, Run, RunKind
from codestore.domain.overrides import Override
from codestore.domain.roles import Role
from codestore.domain.services import User
from codestore.reconcile.cycle import cycle
from codestore.reconcile.scaling import Scaler
from codestore.store.memory import MemoryStore
from tests.support.fakes import World, make_world

ADA = User("usr-ada", "ada", "org", Role.OWNER)
SENT = Submission(Path("unused"), "notes")
OVERRIDES = {Kind.PRODUCTION: Override(concurrency=10), Kind.STAGING: Override(max_instances=1)}
MANIFEST = Manifest("blog", Run(RunKind.ASGI, ("app:app",)), overrides=OVERRIDES)


class Shop:
    """A service in a project, all of it live."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.world: World = make_world(self.store, MANIFEST)
        doors = self.world.doors
        self.office = Office(
            doors.store, doors.builder, doors.vault, doors.clock, doors.logs, doors.keyring
        )
        self.scaler = Scaler(doors)

    async def open(self) -> None:
        await services.create_service(self.office, ADA, "blog", SENT)
        await self.settle()
        await projects.create_project(self.office, ADA, "shop", "")
        await projects.include(self.office, ADA, "shop", "blog")
        await self.settle()
        await self.scaler.learn()

    async def settle(self) -> None:
        for _ in range(60):
            async with self.store.begin() as records:
                found = await records.find(Deployment)
            turns = [await cycle(held.id, self.world.doors) for held in found]
            for id_, held in self.world.driver.instances.items():
                for name, instance in list(held.items()):
                    if instance.state is InstanceState.DRAINING:
                        self.world.driver.end(id_, name, "exit code 0")
            if not any(turn.again for turn in turns):
                return

    async def production(self) -> Deployment:
        async with self.store.begin() as records:
            (found,) = await records.find(Deployment, kind="production")
        return found

    async def pass_(self, seconds: int, requests: int) -> None:
        """So many requests are under way for so long; it is measured and decided meanwhile."""
        held = await self.production()
        self.world.traffic.under_way[held.hash] = requests
        for second in range(seconds):
            self.world.clock.pass_(1)
            await self.scaler.measure()
            if second % 2:
                await self.scaler.decide()
                await self.settle()
                await self.scaler.learn(held.id)

    async def told(self) -> list[Event]:
        async with self.store.begin() as records:
            events = await records.events(0, 10_000)
        return [event for event in events if event.kind is EventKind.SCALED]


@pytest.fixture
async def shop() -> Shop:
    made = Shop()
    await made.open()
    return made


async def test_more_requests_at_once_start_more_instances_and_it_is_told_why(shop: Shop) -> None:
    await shop.pass_(10, 33)
    held = await shop.production()
    assert (held.spec.dials.scale, held.status.serving) == (5, 5)
    (told,) = await shop.told()
    assert told.message.startswith("2 → 5 instances: 33 requests at once")
    assert held.spec.generation == held.status.generation  # it is no change of version


async def test_fewer_are_wanted_only_after_a_whole_calm_window_and_they_drain(shop: Shop) -> None:
    await shop.pass_(10, 33)
    await shop.pass_(50, 1)
    assert (await shop.production()).status.serving == 5
    await shop.pass_(80, 1)
    held = await shop.production()
    assert (held.spec.dials.scale, held.status.serving) == (2, 2)
    assert held.status.crashes == 0  # who was told to leave and left has not crashed


async def test_never_more_than_the_policy_allows(shop: Shop) -> None:
    await shop.pass_(10, 10_000)
    assert (await shop.production()).status.serving == 8


async def test_without_an_answer_of_the_proxy_nothing_changes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(hashes: Collection[str]) -> dict[str, int]:
        raise unavailable("gateway_unavailable", "The gateway does not answer", "no answer")

    await shop.pass_(10, 33)
    monkeypatch.setattr(shop.world.traffic, "loads", away)
    await shop.pass_(200, 0)
    assert (await shop.production()).status.serving == 5


async def test_what_may_not_grow_is_not_measured(shop: Shop) -> None:
    asked: list[int] = []
    loads = shop.world.traffic.loads

    async def counted(hashes: Collection[str]) -> dict[str, int]:
        asked.append(len(hashes))
        return dict(await loads(hashes))

    shop.world.traffic.loads = counted  # type: ignore[method-assign]
    await shop.scaler.measure()
    assert asked == [2]  # production and development; staging has one at most, the rest one


async def test_a_restart_forgets_the_load_and_keeps_what_was_decided(shop: Shop) -> None:
    await shop.pass_(10, 33)
    shop.scaler = Scaler(shop.world.doors)
    await shop.scaler.learn()
    await shop.pass_(55, 0)
    assert (await shop.production()).status.serving == 5
    await shop.pass_(80, 0)
    assert (await shop.production()).status.serving == 2


async def test_a_decision_in_the_middle_of_a_turn_is_not_lost(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = await shop.production()
    driver = shop.world.driver
    stop = driver.stop

    async def stopped(deployment: str, instance: str) -> None:
        async with shop.store.begin() as records:
            current = await records.get(Deployment, held.id)
            assert current is not None
            await records.put(rescaled(current, 4))
        await stop(deployment, instance)

    name = next(iter(driver.instances[held.id]))
    driver.end(held.id, name, "exit code 1")
    monkeypatch.setattr(driver, "stop", stopped)
    await shop.settle()
    after = await shop.production()
    assert (after.spec.dials.scale, after.status.serving, after.status.crashes) == (4, 4, 1)


async def test_the_task_follows_the_store_and_ends_when_it_is_cancelled(shop: Shop) -> None:
    changes: asyncio.Queue[str] = asyncio.Queue()
    learned: asyncio.Queue[str | None] = asyncio.Queue()

    async def watch(*, events: bool = True) -> AsyncIterator[str]:
        while True:
            yield await changes.get()

    async def learn(id_: str | None = None) -> None:
        learned.put_nowait(id_)

    shop.store.watch = watch  # type: ignore[method-assign]
    scaler = Scaler(shop.world.doors)
    scaler.learn = learn  # type: ignore[method-assign]
    task = asyncio.create_task(scaler.run())
    assert await learned.get() is None
    for id_, expected in (("dep-1", "dep-1"), ("*", None)):
        changes.put_nowait(id_)
        assert await learned.get() == expected
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
