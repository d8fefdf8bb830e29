"""The real cycle on the fake: whatever people ask and wherever it crashes, it converges.

*Executing a plan until nothing waits and planning again gives an empty plan.*
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from codestore.actions import projects, services
from codestore.actions.office import Office
from codestore.actions.services import Submission
from codestore.domain.deployments import Deployment, State
from codestore.domain.environments import Kind
from codestore.domain.events import EventKind
from codestore.domain.faults import Fault
from codestore.domain.instances import InstanceState
from codestore.domain.manifest import Manifest, Run, RunKind
from codestore.domain.services import User
from codestore.plan.model import Verdict
from codestore.reconcile.cycle import consider, cycle
from codestore.reconcile.subject import read_subject
from codestore.store.memory import MemoryStore
from tests.support.fakes import CrashError, World, make_world

ADA = User("usr-ada", "ada", "org", "hash")
SENT = Submission(Path("unused"), "notes")
CALM = st.booleans()
LATEST = ("staging", "latest")
OUTAGE = 3  # turns for which a database server stays away
TURNS = 200  # far more than any history needs; reaching it means that it does not converge


class Platform(RuleBasedStateMachine):
    """People do what they like, the world breaks, the process dies; then it must settle."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()

    @initialize(kind=st.sampled_from([RunKind.ASGI, RunKind.COMMAND]), settled=st.booleans())
    def open(self, kind: RunKind, settled: bool) -> None:
        arguments = ("app:app",) if kind is RunKind.ASGI else ("node", "server.js")
        manifest = Manifest("blog", Run(kind, arguments), migrate=("migrate",))
        self.store = MemoryStore()
        self.world: World = make_world(self.store, manifest)
        doors = self.world.doors
        self.office = Office(doors.store, doors.builder, doors.vault, doors.clock, doors.logs)
        self.run(services.create_service(self.office, ADA, "blog", SENT))
        self.run(projects.create_project(self.office, ADA, "shop", ""))
        if settled:
            self.run(self._settle())
            self.run(projects.include(self.office, ADA, "shop", "blog"))
            self.run(self._settle())

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def ask(self, work: Any, calm: bool) -> None:
        """People may be refused; a refusal changes nothing. ``calm`` people wait afterwards."""
        before = self.run(self.deployments())
        try:
            self.run(work)
        except Fault:
            assert self.run(self.deployments()) == before
        if calm:
            self.run(self._settle())

    async def deployments(self) -> list[Deployment]:
        async with self.store.begin() as records:
            return await records.find(Deployment)

    @rule(calm=CALM)
    def push(self, calm: bool) -> None:
        self.ask(services.push(self.office, ADA, "blog", SENT), calm)

    @rule(how=st.sampled_from(["unbuildable", "broken", "unhealthy", "unmigratable"]), calm=CALM)
    def push_a_bad_one(self, how: str, calm: bool) -> None:
        digest = f"digest{self.world.builder.digests.__reduce__()[1][0]}"
        bad = self.world.builder if how == "unbuildable" else self.world.driver
        getattr(bad, how).add(digest)
        self.ask(services.push(self.office, ADA, "blog", SENT), calm)

    @rule(calm=CALM)
    def promote(self, calm: bool) -> None:
        self.ask(services.promote(self.office, ADA, "blog"), calm)

    @rule(environment=st.sampled_from(["private", "demo"]), number=st.integers(1, 4), calm=CALM)
    def roll(self, environment: str, number: int, calm: bool) -> None:
        self.ask(services.roll(self.office, ADA, "blog", environment, f"0.0.{number}"), calm)

    @rule(calm=CALM)
    def include(self, calm: bool) -> None:
        self.ask(projects.include(self.office, ADA, "shop", "blog"), calm)

    @rule(to=st.sampled_from(["development", "staging", "production"]), calm=CALM)
    def promote_in_project(self, to: str, calm: bool) -> None:
        self.ask(projects.promote_in_project(self.office, ADA, "shop", "blog", to), calm)

    @rule(
        to=st.sampled_from(["development", "staging", "production"]),
        version=st.sampled_from(["latest", "0.0.1", "0.0.2"]),
        calm=CALM,
    )
    def roll_in_project(self, to: str, version: str, calm: bool) -> None:
        self.ask(projects.roll_in_project(self.office, ADA, "shop", "blog", (to, version)), calm)

    @rule(calm=CALM)
    def exclude(self, calm: bool) -> None:
        self.ask(projects.exclude(self.office, ADA, "shop", "blog"), calm)

    @rule(data=st.data())
    def an_instance_ends(self, data: st.DataObject) -> None:
        running = [
            (deployment, name)
            for deployment, held in self.world.driver.instances.items()
            for name in held
        ]
        if running:
            deployment, name = data.draw(st.sampled_from(running))
            self.world.driver.end(deployment, name, "killed by SIGKILL")

    @rule(at=st.integers(1, 8), push=st.booleans())
    def a_removal_in_the_middle_of_a_turn(self, at: int, push: bool) -> None:
        """Somebody removes the service from the project while a turn is being executed."""

        async def remove() -> None:
            with contextlib.suppress(Fault):
                await projects.exclude(self.office, ADA, "shop", "blog")
                self.excluded = True

        breaker = self.world.breaker
        self.excluded = False
        if push:
            self.ask(projects.roll_in_project(self.office, ADA, "shop", "blog", LATEST), False)
        breaker.at, breaker.count, breaker.meanwhile = at, 0, remove
        try:
            self.run(self._settle())
        finally:
            breaker.at = breaker.meanwhile = None
        if self.excluded:
            assert not [held for held in self.run(self.deployments()) if held.project]

    @rule(data=st.data(), stays=st.booleans(), calm=CALM)
    def a_caller_comes(self, data: st.DataObject, stays: bool, calm: bool) -> None:
        """Whoever is led to a deployment is answered in the end, asleep or not."""
        routes = self.world.gateway.routes.values()
        open_ = [each.deployment for each in routes if each.unavailable is None]
        if open_:
            deployment = data.draw(st.sampled_from(open_))
            self.world.gateway.touch("")
            self.world.driver.call(deployment)
            if stays:
                self.world.driver.occupied.add(deployment)
        if calm:
            self.run(self._settle())

    @rule(index=st.integers(0, 3), mended=st.booleans())
    def a_version_does_not_start_any_more(self, index: int, mended: bool) -> None:
        """What it needs from elsewhere is gone, or is there again."""
        digests = self.world.driver.crashing
        (digests.discard if mended else digests.add)(f"digest{index}")

    @rule(pressed=st.booleans(), seconds=st.sampled_from([1, 299, 301, 2000]))
    def time_passes(self, pressed: bool, seconds: int) -> None:
        self.world.driver.pressed = pressed
        self.world.clock.pass_(seconds)

    @rule(away=st.booleans())
    def the_database_server_goes_or_comes(self, away: bool) -> None:
        self.world.databases.away = away

    @rule(at=st.integers(1, 12), after=st.booleans(), turns=st.integers(1, 6))
    def turns_with_a_crash(self, at: int, after: bool, turns: int) -> None:
        """Take some turns; the process may die before or after any effect."""
        breaker = self.world.breaker
        breaker.at, breaker.after, breaker.count = at, after, 0
        try:
            for _ in range(turns):
                for held in self.run(self.deployments()):
                    self.run(cycle(held.id, self.world.doors))
        except CrashError:
            pass
        finally:
            breaker.at = None

    @rule()
    def settle(self) -> None:
        """Take turns until nothing is left to do: then every plan is empty, and all is whole."""
        self.run(self._settle())

    async def _settle(self) -> None:
        self.world.driver.occupied.clear()
        for turn in range(TURNS):
            if turn == OUTAGE:
                self.world.databases.away = False
            held = await self.deployments()
            turns = [await cycle(each.id, self.world.doors) for each in held]
            self._world_goes_on()
            if any(turn.again for turn in turns):
                continue
            if not any(turn.at for turn in turns):
                break
            self.world.clock.pass_(61)
        else:
            raise AssertionError("it does not converge")
        await self._check_settled()

    def _world_goes_on(self) -> None:
        """Draining instances on a shared socket leave by themselves."""
        for deployment, held in self.world.driver.instances.items():
            for name, instance in list(held.items()):
                if instance.state is InstanceState.DRAINING and instance.address is None:
                    self.world.driver.end(deployment, name, "exit code 0")

    async def _check_settled(self) -> None:
        held = await self.deployments()
        for deployment in held:
            async with self.store.begin() as records:
                subject = await read_subject(records, self.world.doors.vault, deployment.id)
            assert subject is not None
            plan, wanted = await consider(subject, self.world.doors)
            assert plan.empty, plan
            if deployment.state is State.READY:
                assert plan.verdict is Verdict.REACHED
                running = self.world.driver.instances[deployment.id].values()
                assert deployment.kind not in (Kind.PRIVATE, Kind.DEMO)  # these sleep by now
                assert {i.revision for i in running} == {deployment.spec.revision}
                assert len(running) == wanted.count
                route = self.world.gateway.routes[deployment.hash]
                view = await self.world.driver.observe(deployment.id)
                assert (route.endpoints, route.unavailable) == (view.endpoints, None)
            elif deployment.state is State.STANDBY:
                view = await self.world.driver.observe(deployment.id)
                assert (view.instances, view.armed) == ((), deployment.spec.revision)
                route = self.world.gateway.routes[deployment.hash]
                at = (view.held,) if view.held is not None else view.endpoints
                assert (route.endpoints, route.unavailable) == (at, None)
            else:
                assert deployment.state is State.FAILED
            assert not self.world.driver.waiting[deployment.id], deployment.state
        assert set(self.world.driver.instances) <= {each.id for each in held}
        assert self.world.databases.held <= {each.database for each in held}
        assert set(self.world.gateway.routes) <= {each.hash for each in held}

    @invariant()
    def what_is_told_is_true(self) -> None:
        """A generation is told to be live or to have failed once at most."""
        if not hasattr(self, "store"):
            return
        self.run(self._check_events())

    async def _check_events(self) -> None:
        async with self.store.begin() as records:
            events = await records.events(0, 100_000)
        concluded = [
            (event.deployment, event.generation)
            for event in events
            if event.kind in (EventKind.LIVE, EventKind.FAILED)
        ]
        assert len(concluded) == len(set(concluded))

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.run(self._settle())
        self.loop.close()


TestPlatform = Platform.TestCase
TestPlatform.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
