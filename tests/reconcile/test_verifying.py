"""Who is verified when, what is written down, and what a run that was cut off leaves."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from codestore.domain.deployments import Deployment, Live
from codestore.domain.environments import Kind
from codestore.domain.events import Event
from codestore.domain.faults import unavailable
from codestore.domain.keys import Key, KeyKind
from codestore.domain.manifest import Manifest, Run, RunKind
from codestore.domain.routing import Access, Route
from codestore.domain.secret import Secret
from codestore.domain.verification import (
    PLATFORM,
    Aim,
    Finding,
    Progress,
    Release,
    Verdict,
    Verification,
    due_at,
)
from codestore.reconcile import verifying
from codestore.reconcile.burying import bury
from codestore.reconcile.verifying import Verifier
from codestore.store.memory import MemoryStore
from tests.store import nouns
from tests.support.fakes import World, make_world

MANIFEST = Manifest("blog", Run(RunKind.ASGI, ("app:app",)))
DAY = timedelta(days=1)


@dataclass
class House:
    """A world with deployments that live, and the verifier of a version of the platform."""

    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.world: World = make_world(self.store, MANIFEST)
        self.world.clock.pass_(12 * 3600)
        self.verifier = self.of("1.0")

    def of(self, version: str) -> Verifier:
        return Verifier(self.world.doors, version)

    async def deploy(self, kind: Kind = Kind.DEMO, **fields: str) -> Deployment:
        world = self.world
        service = nouns.service()
        version = nouns.version(service=service.id)
        made = nouns.deployment(service=service.id, organization="acme", **fields)
        live = Live(1, "1.0.0", "digest", world.clock.at)
        made = replace(
            made, kind=kind, status=replace(made.status, live=live), created_at=world.clock.at
        )
        world.builder.sealed.add(version.seal.digest)
        async with self.store.begin() as records:
            await records.put(service, version, made)
        return made

    async def ask(self, deployment: Deployment, seconds: int = 0) -> Verification:
        at = self.world.clock.at + timedelta(seconds=seconds)
        asked = Verification(deployment.id, "acme", Progress.ASKED, at, "ann")
        async with self.store.begin() as records:
            await records.put(asked)
        return asked

    async def told(self, deployment: Deployment) -> Verification:
        async with self.store.begin() as records:
            found = await records.get(Verification, deployment.id)
        assert found is not None
        return found

    async def events(self, deployment: Deployment) -> list[Event]:
        async with self.store.begin() as records:
            found = await records.events(0, 99, deployment=deployment.id)
        return [each for each in found if each.kind == "breached"]


@pytest.fixture
def house() -> House:
    return House()


async def test_what_was_asked_for_is_verified_once(house: House) -> None:
    one, other = await house.deploy(), await house.deploy()
    await house.ask(one)
    for _ in range(2):
        await house.verifier.look()
    assert house.world.driver.intrusions == [one.id]
    told = await house.told(one)
    assert (told.state, told.at, told.release) == (Progress.DONE, house.world.clock.at, "1.0")
    assert (told.unproved, told.asked_by) == ("", "ann")
    assert {each.verdict for each in told.findings} == {Verdict.REFUSED}
    assert {id_ for each in told.findings for id_ in each.whose} == {PLATFORM, other.id}
    assert await house.events(one) == []


async def test_a_wall_that_is_broken_is_told_and_heard_of(house: House) -> None:
    one, other = await house.deploy(), await house.deploy()
    house.world.driver.leaks.add((one.id, Aim.HOME, other.id))
    await house.ask(one)
    await house.verifier.look()
    breach = Finding(Aim.HOME, Verdict.REACHED, "reached", (other.id,))
    assert (await house.told(one)).breaches == (breach,)
    (event,) = await house.events(one)
    assert event.message == "it reached 1 things that it should not: list its home"
    assert [line.text for line in house.world.driver.lines[one.id]] == [event.message]


async def test_whoever_cannot_do_what_is_its_own_has_proved_nothing(house: House) -> None:
    one = await house.deploy()
    house.world.driver.blocked.add((one.id, Aim.OWN_HOME))
    await house.ask(one)
    await house.verifier.look()
    told = await house.told(one)
    assert told.unproved == "it could not write in our own home: not allowed"


async def test_what_cannot_be_tried_now_is_said_and_keeps_nobody_waiting(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await house.deploy(), await house.deploy()
    attempt = house.world.driver.attempt

    async def away(workload, attempts, timeout):
        if workload.deployment == one.id:
            raise unavailable("keeper", "The host did not answer", "no answer")
        return await attempt(workload, attempts, timeout)

    monkeypatch.setattr(house.world.driver, "attempt", away)
    await house.ask(one)
    await house.ask(other, seconds=1)
    await house.verifier.look()
    assert (await house.told(one)).unproved == "The host did not answer: no answer"
    assert (await house.told(other)).unproved == ""


async def test_each_is_verified_once_a_night(house: House) -> None:
    made = [await house.deploy() for _ in range(5)]
    clock = house.world.clock
    born = clock.at
    await house.verifier.look()
    assert house.world.driver.intrusions == []
    for night in (1, 2):
        clock.at = max(due_at(each.id, born, None) for each in made) + (night - 1) * DAY
        await house.verifier.look()
        await house.verifier.look()
        assert len(house.world.driver.intrusions) == 5 * night
        assert set(house.world.driver.intrusions) == {each.id for each in made}


async def test_only_those_whose_time_has_come(house: House) -> None:
    made = [await house.deploy() for _ in range(5)]
    first, *_ = sorted(due_at(each.id, house.world.clock.at, None) for each in made)
    house.world.clock.at = first
    await house.verifier.look()
    assert len(house.world.driver.intrusions) == 1


async def test_after_an_upgrade_each_is_verified_soon_and_once(house: House) -> None:
    made = [await house.deploy() for _ in range(3)]
    house.world.clock.pass_(1)
    await house.verifier.look()  # notes an upgrade: these were there before anybody looked
    house.world.clock.pass_(3600)
    await house.verifier.look()
    assert len(house.world.driver.intrusions) == 3
    house.world.clock.pass_(60)
    newer = house.of("1.1")
    await newer.look()
    assert len(house.world.driver.intrusions) == 3  # not while it starts
    house.world.clock.pass_(3600)
    newer = house.of("1.1")  # started again meanwhile
    await newer.look()
    await newer.look()
    assert len(house.world.driver.intrusions) == 6
    assert {(await house.told(each)).release for each in made} == {"1.1"}


async def test_the_first_version_of_a_platform_is_no_upgrade(house: House) -> None:
    await house.verifier.look()
    await house.deploy()
    house.world.clock.pass_(1800)
    await house.verifier.look()
    assert house.world.driver.intrusions == []
    async with house.store.begin() as records:
        assert await records.get(Release, PLATFORM) == Release(PLATFORM, "1.0", None)


async def test_a_run_that_is_cut_off_is_made_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await house.deploy()
    await house.ask(one)
    begun = asyncio.Event()

    async def endless(workload, attempts, timeout):
        begun.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(house.world.driver, "attempt", endless)
        cut = asyncio.create_task(house.verifier.run())
        await asyncio.wait_for(begun.wait(), 5)
        cut.cancel()
        with suppress(asyncio.CancelledError):
            await cut
    assert (await house.told(one)).state is Progress.ASKED
    await house.of("1.0").look()
    assert (await house.told(one)).state is Progress.DONE


async def test_who_asks_meanwhile_gets_another_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await house.deploy()
    await house.ask(one)
    attempt, asked = house.world.driver.attempt, []

    async def disturbed(workload, attempts, timeout):
        if not asked:
            asked.append(await house.ask(one, seconds=5))
        return await attempt(workload, attempts, timeout)

    monkeypatch.setattr(house.world.driver, "attempt", disturbed)
    await house.verifier.look()
    assert house.world.driver.intrusions == [one.id, one.id]
    assert (await house.told(one)).state is Progress.DONE


async def test_a_bell_is_heard(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = asyncio.Event()
    running = asyncio.create_task(house.verifier.run())
    one = await house.deploy()
    put = verifying.Verifier._record

    async def recorded(self, *given):
        await put(self, *given)
        looked.set()

    monkeypatch.setattr(verifying.Verifier, "_record", recorded)
    await house.ask(one)
    house.verifier.ring()
    await asyncio.wait_for(looked.wait(), 5)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert house.world.driver.intrusions == [one.id]


async def test_the_key_of_its_developers_is_tried_at_the_doors_of_others(house: House) -> None:
    mine = await house.deploy(Kind.PRIVATE)
    closed, open_ = await house.deploy(Kind.PRIVATE), await house.deploy(Kind.PRIVATE)
    key = Key("key-1", mine.service, KeyKind.DEVELOPER, "cs_dev_mine", house.world.clock.at)
    async with house.store.begin() as records:
        await records.put(key)
    for held, keys in ((closed, ("cs_dev_other",)), (open_, ("cs_dev_mine",))):
        secrets = tuple(Secret(each) for each in keys)
        await house.world.gateway.publish(Route(held.hash, held.id, Access.KEY, secrets, ()))
    await house.ask(mine)
    await house.verifier.look()
    found = [each for each in (await house.told(mine)).findings if each.aim is Aim.OUR_KEY]
    assert found == [
        Finding(Aim.OUR_KEY, Verdict.REFUSED, "403", (closed.id,)),
        Finding(Aim.OUR_KEY, Verdict.REACHED, "answered 200", (open_.id,)),
    ]


async def test_what_is_removed_is_forgotten(house: House) -> None:
    one = await house.deploy()
    await house.ask(one)
    await bury(one, [], house.world.doors)
    async with house.store.begin() as records:
        assert await records.find(Verification) == []
    gone = nouns.deployment()
    await house.ask(gone)
    await house.verifier.look()
    async with house.store.begin() as records:
        assert await records.find(Verification) == []
