"""Doing a plan: in order, what concerns one instance each together, and no further than a fault."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from codestore.actions import services
from codestore.actions.office import Office
from codestore.actions.services import Submission
from codestore.domain.deployments import Deployment
from codestore.domain.events import Event, EventKind
from codestore.domain.faults import unavailable
from codestore.domain.manifest import Health, Manifest, Run, RunKind
from codestore.domain.roles import Role
from codestore.domain.services import User
from codestore.plan.model import Planned
from codestore.plan.outcomes import Done, Failed, Outcome
from codestore.plan.steps import Admit, Prove, Step
from codestore.reconcile.cycle import goal
from codestore.reconcile.executor import execute
from codestore.reconcile.subject import read_subject
from codestore.store.memory import MemoryRecords, MemoryStore
from tests.support.fakes import World, make_world

PATIENCE = 5.0
MANIFEST = Manifest("blog", Run(RunKind.ASGI, ("app:app",)))
PAIRS = "prove", "admit"
STEPS: list[Step] = [Prove("a", 1), Prove("b", 1), Admit("a"), Admit("b")]


class Bench:
    """A deployment whose plan is carried out, and what its driver was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = MemoryStore()
        self.world: World = make_world(self.store, MANIFEST)
        self.asked: list[str] = []
        self.barrier = asyncio.Barrier(2)
        self.ill: str | None = None
        monkeypatch.setattr(self.world.driver, "prove", self.prove)
        monkeypatch.setattr(self.world.driver, "admit", self.admit)

    async def prove(self, deployment: str, instance: str, health: Health) -> None:
        await asyncio.wait_for(self.barrier.wait(), PATIENCE)
        self.asked.append(f"prove {instance}")
        if instance == self.ill:
            raise unavailable("not_well", "It is not well", "It says so.")

    async def admit(self, deployment: str, instance: str) -> None:
        self.asked.append(f"admit {instance}")

    async def told(self) -> list[str | None]:
        """Return the steps of which people have heard that they have begun."""
        async with self.store.begin() as records:
            events = await records.events(0, 100)
        return [event.step for event in events if event.kind is EventKind.STEP_STARTED]

    async def carry_out(self) -> tuple[list[Outcome], list[Event]]:
        doors = self.world.doors
        office = Office(
            doors.store, doors.builder, doors.vault, doors.clock, doors.logs, doors.keyring
        )
        ada = User("usr-ada", "ada", "org", Role.OWNER)
        await services.create_service(office, ada, "blog", Submission(Path("unused"), "notes"))
        async with self.store.begin() as records:
            deployment = (await records.find(Deployment))[0]
            subject = await read_subject(records, doors, deployment.id)
        assert subject is not None
        due = [Planned(step, "a test") for step in STEPS]
        return await execute(due, subject, goal(subject), doors)


async def test_neighbours_of_one_kind_are_done_together(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    outcomes, untold = await bench.carry_out()
    assert [type(outcome) for outcome in outcomes] == [Done] * 4
    assert [outcome.step for outcome in outcomes] == STEPS
    assert sorted(bench.asked[:2]) == ["prove a", "prove b"]
    begun, over = EventKind.STEP_STARTED, EventKind.STEP_DONE
    assert [(event.kind, event.step) for event in untold] == [
        *((kind, f"{step}:{name}") for step in PAIRS for kind in (begun, over) for name in "ab")
    ]
    assert await bench.told() == []  # whoever records it tells of it


async def test_of_a_step_that_takes_a_while_people_hear_before_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch)
    bench.barrier = asyncio.Barrier(3)
    work = asyncio.create_task(bench.carry_out())
    async with asyncio.timeout(PATIENCE), aclosing(bench.store.watch()) as news:
        while not await bench.told():
            await anext(news)
    assert await bench.told() == ["prove:a", "prove:b"]
    await bench.barrier.wait()
    outcomes, untold = await work
    assert [outcome.step for outcome in outcomes] == STEPS
    assert [event.step for event in untold if event.kind is EventKind.STEP_STARTED] == [
        "admit:a",
        "admit:b",
    ]


async def test_no_step_ends_because_people_cannot_be_told_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch)
    refused = asyncio.Event()

    async def refuse(_: MemoryRecords, *events: Event) -> None:
        refused.set()
        raise unavailable("store_busy", "It is busy", "It says so.")

    async def prove(deployment: str, instance: str, health: Health) -> None:
        monkeypatch.setattr(MemoryRecords, "emit", refuse)
        await asyncio.wait_for(refused.wait(), PATIENCE)

    monkeypatch.setattr(bench.world.driver, "prove", prove)
    outcomes, untold = await bench.carry_out()
    assert [type(outcome) for outcome in outcomes] == [Done] * 4
    assert [event.step for event in untold[:2]] == ["prove:a", "prove:b"]  # whoever records tells


async def test_the_next_kind_waits_for_all_of_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch)
    bench.ill = "a"
    outcomes, untold = await bench.carry_out()
    assert [type(outcome) for outcome in outcomes] == [Failed, Done]
    assert sorted(bench.asked) == ["prove a", "prove b"]  # nobody was admitted
    over = [event.kind for event in untold if event.kind is not EventKind.STEP_STARTED]
    assert over == [EventKind.STEP_FAILED, EventKind.STEP_DONE]


async def test_a_defect_ends_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    left: list[str] = []

    async def prove(deployment: str, instance: str, health: Health) -> None:
        if instance == "a":
            raise ZeroDivisionError
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            left.append(instance)
            raise

    monkeypatch.setattr(bench.world.driver, "prove", prove)
    with pytest.raises(ZeroDivisionError):
        await bench.carry_out()
    assert left == ["b"]
