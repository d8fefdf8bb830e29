"""What happens in a history: what people ask for, and what the world does to the platform.

Whoever asked and got no answer asks once more. What was answered is remembered: it must hold.
"""

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from codestore.actions import holds, projects, rekeying, rollouts, rotation, secrets, services
from codestore.actions.places import Place
from codestore.actions.projects import Entry
from codestore.actions.secrets import Where
from codestore.actions.services import Submission
from codestore.domain.canary import Canary, Trial
from codestore.domain.deployments import Deployment, rescaled
from codestore.domain.environments import PROJECT_KINDS, Kind
from codestore.domain.events import EventKind, event_of
from codestore.domain.faults import Fault
from codestore.domain.instances import InstanceState
from codestore.domain.overrides import Override
from tests.crashes.holders import NAME, SHOP, Holders
from tests.crashes.ledger import PERSON, SCALER
from tests.crashes.ops import Op
from tests.crashes.stage import ADA, Stage
from tests.support.fakes import CrashError

SENT = Submission(Path("unused"), "notes")
SICK, KILLED = "/health answered 500", "killed by SIGKILL"
STEPS = Canary(steps=(20, 60, 100), hold=10.0)
RESTS = {True: (None, None), False: (120.0, 600.0)}
YOUNG = 18 * 60.0  # seconds; a little less than the planner's, as time goes on until it looks
_Read = Callable[[Any], Iterable[Deployment]]


@dataclass(frozen=True, slots=True)
class Promise:
    """A change whose acceptance somebody has read."""

    deployment: str
    generation: int
    removed: bool
    said: str


@dataclass
class Acts:
    """Does operations on a stage. ``expected`` are conclusions that must come, by generation."""

    stage: Stage
    acknowledged: list[Promise] = field(default_factory=list)
    expected: dict[tuple[str, int], EventKind] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    outages: set[str] = field(default_factory=set)
    needy: set[str] = field(default_factory=set)
    holders: Holders = field(init=False)
    _alone: bool = True

    def __post_init__(self) -> None:
        self.holders = Holders(self.stage, self._ask)
        self.stage.lose_patience = self._resume_all

    async def perform(self, op: Op) -> None:
        """Do an operation, and wait."""
        stage, fuse, done = self.stage, self.stage.fuse, [False]
        self._alone = not op.during and op.wait in ("concluded", "quiet")

        async def act() -> None:
            if op.name in ("kill", "blackout"):
                if op.name == "blackout":
                    self._blackout()
                done[0], fuse.dead = True, True
                raise CrashError
            doer = self.holders if hasattr(self.holders, op.name) else self
            await getattr(doer, op.name)(*op.arguments)
            done[0] = True

        async def meanwhile() -> None:
            stage.ledger.disturbed = True
            await act()
            stage.ledger.disturbed = True

        if op.during:
            fuse.later(op.during, meanwhile)
        else:
            if op.split:
                fuse.later(op.split, lambda: stage.turns(3))
            await stage.survive(act)
            fuse.pending = None
        await self._finish(act, done)
        await self._wait(op.wait)
        await self._finish(act, done)

    async def _finish(self, act: Callable[[], Coroutine[Any, Any, None]], done: list[bool]) -> None:
        if not done[0] and self.stage.fuse.pending is None:
            await self.stage.survive(act)

    async def _wait(self, how: str) -> None:
        stage = self.stage
        if how.isdigit():
            await stage.survive(lambda: stage.turns(int(how)))
        elif how:
            await stage.through(getattr(stage, how))
        if stage.fuse.pending is not None:
            await stage.survive(stage.fuse.now)
        stage.fuse.pending = None

    async def _ask(self, work: Coroutine[Any, Any, Any], read: _Read) -> None:
        """Have a person ask. Who is refused has changed nothing; who is answered relies on it."""
        ledger = self.stage.ledger
        was, ledger.author, written = ledger.author, PERSON, ledger.written[PERSON]
        try:
            accepted = await work
        except Fault:
            assert ledger.written[PERSON] == written, "refused, and changed all the same"
            return
        finally:
            ledger.author = was
        for held in read(accepted):
            assert ledger.deployments[held.id].spec == held.spec, "acknowledged, not written"
            spec = held.spec
            self.acknowledged.append(Promise(held.id, spec.generation, spec.removed, spec.reason))

    # What people ask for.

    async def create(self) -> None:
        work = services.create_service(self.stage.office, ADA, NAME, SENT)
        await self._ask(work, lambda accepted: accepted.deployments)

    async def project(self) -> None:
        await self._ask(projects.create_project(self.stage.office, ADA, SHOP, ""), _nothing)

    async def delete_project(self) -> None:
        await self._ask(projects.delete_project(self.stage.office, ADA, SHOP), _nothing)

    async def push(self, bad: str = "", canary: bool = False, low: int | None = None) -> None:
        """Push a version; ``low`` is its least number of instances in a project.

        With one, it sleeps in development.
        """
        world = self.stage.world
        if bad:
            places = {"unbuildable": world.builder, "needy": self}
            getattr(places.get(bad, world.driver), bad).add(world.builder.next_digest)
        entry = STEPS if canary else None
        overrides = {
            Kind.DEVELOPMENT: Override(*RESTS[low is None], min_instances=low, canary=entry),
            Kind.STAGING: Override(min_instances=low, canary=entry),
            Kind.PRODUCTION: Override(canary=entry),
        }
        needs = ("TOKEN",) if bad == "needy" else ()
        world.builder.manifest = replace(world.builder.manifest, overrides=overrides, secrets=needs)
        work = services.push(self.stage.office, ADA, NAME, SENT)
        await self._ask(work, lambda accepted: accepted[0].deployments)

    async def promote(self) -> None:
        work = services.promote(self.stage.office, ADA, NAME)
        await self._ask(work, lambda accepted: accepted.deployments)

    async def roll(self, environment: str, number: int) -> None:
        work = services.roll(self.stage.office, ADA, NAME, environment, f"0.0.{number}")
        await self._ask(work, lambda accepted: accepted.deployments)

    async def remove(self) -> None:
        work = services.remove_service(self.stage.office, ADA, NAME)
        await self._ask(work, lambda accepted: accepted.deployments)

    async def include(self) -> None:
        work = projects.include(self.stage.office, ADA, SHOP, NAME)
        await self._ask(work, lambda accepted: accepted.deployments)

    async def promote_to(self, kind: str, canary: bool | None = None, force: bool = False) -> None:
        entry = Entry(canary, force)
        work = projects.promote_in_project(self.stage.office, ADA, SHOP, NAME, kind, entry)
        await self._ask(work, lambda accepted: accepted.deployments)

    async def roll_to(self, kind: str, number: int) -> None:
        to = (kind, f"0.0.{number}")
        work = projects.roll_in_project(self.stage.office, ADA, SHOP, NAME, to)
        await self._ask(work, lambda accepted: accepted.deployments)

    async def exclude(self) -> None:
        work = projects.exclude(self.stage.office, ADA, SHOP, NAME)
        await self._ask(work, lambda accepted: accepted.deployments)

    async def hold(self, kind: str) -> None:
        work = holds.hold(self.stage.office, ADA, Place(SHOP, kind, NAME), "it is fair")
        await self._ask(work, _nothing)

    async def unhold(self, kind: str) -> None:
        await self._ask(holds.unhold(self.stage.office, ADA, Place(SHOP, kind, NAME)), _nothing)

    async def pause(self, kind: str) -> None:
        await self._ask(rollouts.pause(self.stage.office, ADA, Place(SHOP, kind, NAME)), _nothing)

    async def resume(self, kind: str) -> None:
        await self._ask(rollouts.resume(self.stage.office, ADA, Place(SHOP, kind, NAME)), _nothing)

    async def _resume_all(self) -> None:
        """What was paused must go on some time."""
        for kind, held in self.stage.places().items():
            if held.busy and held.spec.dials.paused and not held.spec.removed:
                await self.resume(kind)

    async def abort(self, kind: str) -> None:
        owner = SHOP if Kind(kind) in PROJECT_KINDS else NAME
        work = rollouts.abort(self.stage.office, ADA, Place(owner, kind, NAME))
        await self._ask(work, self._given_up)

    def _given_up(self, accepted: Any) -> Iterable[Deployment]:
        """Unless it is just being concluded, the change comes to nothing."""
        held = accepted.found.deployment
        if not self.stage.ledger.disturbed:
            self.expected[held.id, held.spec.generation] = EventKind.FAILED
        return ()

    async def scale(self, kind: str, count: int | None) -> None:
        """Write down what the load asks for, as the scaler does."""
        held = self._held(kind)
        if held is None:
            return
        ledger, doors = self.stage.ledger, self.stage.world.doors
        was, ledger.author = ledger.author, SCALER
        try:
            async with doors.store.begin() as records:
                current = await records.get(Deployment, held.id)
                if current is None or current.spec.removed:
                    return
                after = rescaled(current, count)
                await records.put(after)
                await records.emit(event_of(after, EventKind.SCALED, "load", doors.clock.now()))
        finally:
            ledger.author = was

    async def set_secret(self, where: str, value: str | None, fresh: bool = True) -> None:
        """Set a secret, change it, or (``None``) take it away: in the shop or a part of it.

        Or in the service, or a part of that.
        """
        scope = {"shop": Where(SHOP), "service": Where(service=NAME)}.get(where)
        if scope is None and Kind(where) in PROJECT_KINDS:
            scope = Where(SHOP, where, NAME)
        scope = scope or Where(environment=where, service=NAME)
        office = self.stage.office
        if value is None:
            work = secrets.remove_secret(office, ADA, scope, "TOKEN")
        else:
            work = secrets.put_secret(office, ADA, scope, "TOKEN", value, fresh=fresh)
        await self._ask(work, lambda accepted: accepted.deployments)

    async def rotate_login(self, kind: str) -> None:
        """Replace the password of a database."""
        owner, held = SHOP if Kind(kind) in PROJECT_KINDS else NAME, self._held(kind)
        work = rotation.rotate_password(self.stage.office, ADA, Place(owner, kind, NAME))

        def replaced(accepted: Any) -> Iterable[Deployment]:
            after = accepted.found.deployment
            assert held is not None and after.spec.login > held.spec.login, "it is the same"
            return [after]

        await self._ask(work, replaced)

    async def rekey(self) -> None:
        work = rekeying.rekey(self.stage.office, ADA, master=True, data=True)
        await self._ask(work, _nothing)

    async def tidy(self) -> None:
        await self.stage.tidy()

    # What the world does.

    async def crash(self, kind: str, count: int = 1) -> None:
        """Instances end by themselves."""
        held = self._held(kind)
        running = self.stage.world.driver.instances.get(held.id, {}) if held else {}
        for name in list(running)[:count]:
            self.ended.add(name)
            self.stage.world.driver.end(running[name].name.partition(".")[0], name, KILLED)

    async def ail(self, kind: str, failing: str | None = SICK) -> None:
        """One instance that serves is not well any more, or is again."""
        held = self._held(kind)
        if held is None:
            return
        serving = self._serving(held)
        for instance in serving[:1]:
            self.stage.world.driver.ail(held.id, instance.name, failing)
        if failing is not None and len(serving) == 1:
            self._expect_return(held)

    async def sicken(self, kind: str) -> None:
        """A version is not well any more, wherever it serves."""
        held = self._held(kind)
        live = held.status.live if held else None
        if held is None or live is None:
            return
        driver = self.stage.world.driver
        driver.sick[live.digest] = SICK
        serving = [i for i in self._serving(held) if i.revision == live.revision]
        for instance in serving:
            driver.ail(held.id, instance.name, SICK)
        if serving:
            self._expect_return(held)

    def _expect_return(self, held: Deployment) -> None:
        """All that serve are sick: if nobody interferes, the version before comes back.

        While a server is away nobody looks; it may be well again before that.
        """
        world = self.stage.world
        if world.databases.away or world.gateway.away:
            return
        live, free = held.status.live, not held.busy and held.spec.dials.hold is None
        before, marks = held.status.previous, [mark.number for mark in held.status.marks]
        if live is None or live.returned or before is None or not self._alone:
            return
        if before.login != live.login or before.number in marks:
            return
        age = (world.clock.at - live.since).total_seconds()
        if age < YOUNG and free and held.kind in PROJECT_KINDS:
            self.expected[held.id, held.spec.generation + 1] = EventKind.RETURNING

    async def recover(self) -> None:
        """Whatever was sick is well again."""
        driver = self.stage.world.driver
        driver.sick.clear()
        for id_, running in driver.instances.items():
            for name in running:
                driver.ail(id_, name, None)

    async def fail_canary(self, kind: str) -> None:
        """Too many requests of a canary fail."""
        held = self._held(kind)
        if held is None or held.spec.canary is None or not held.busy:
            return
        world, revision = self.stage.world, held.spec.revision
        world.traffic.canaries[held.hash, revision] = Trial(100, 50)
        route = world.gateway.routes.get(held.hash)
        led = route is not None and route.split is not None and route.split.revision == revision
        if led and self._alone and not held.spec.removed:
            self.expected[held.id, held.spec.generation] = EventKind.FAILED

    async def call(self, kind: str, stays: bool = False) -> None:
        """Somebody calls, and may stay connected."""
        held, world = self._held(kind), self.stage.world
        route = world.gateway.routes.get(held.hash) if held else None
        if held is None or route is None or route.unavailable is not None:
            return
        if held.status.standby is None:  # nobody reads the counters of what sleeps
            world.traffic.touch(held.hash)
        self.stage.promises.called[held.id] = world.clock.at
        world.driver.call(held.id)
        if stays:
            world.driver.occupied.add(held.id)

    async def outage(self, what: str) -> None:
        """The database server or the gateway does not answer for a while."""
        self.outages.add(what)
        getattr(self.stage.world, what).away = True

    async def come_back(self) -> None:
        self.stage.mend()

    async def press(self) -> None:
        """Memory is short."""
        self.stage.world.driver.pressed = True

    async def rot(self, number: int, rotten: bool = True) -> None:
        """Instances of a version that a caller starts end at once, or do not any more."""
        digests = self.stage.world.driver.crashing
        (digests.add if rotten else digests.discard)(f"digest{number - 1}")

    async def slow(self, slow: bool = True) -> None:
        """Instances take a while to become ready."""
        self.stage.world.driver.slow = slow

    async def sleep(self, seconds: float) -> None:
        """Time passes, and nobody calls."""
        self.stage.nature()  # so slow is nothing that it would take until then
        self.stage.world.clock.pass_(seconds)
        self.stage.ring()

    def _blackout(self) -> None:
        """The keeper dies, and everything under it with it: instances, sockets, the proxy."""
        world = self.stage.world
        driver = world.driver
        for each in (driver.instances, driver.armed, driver.coming, driver.held, driver.sockets):
            each.clear()
        for gone in (
            driver.called_off,
            driver.waiting,
            driver.woken,
            driver.occupied,
            world.gateway.routes,
        ):
            gone.clear()

    def _held(self, kind: str) -> Deployment | None:
        return self.stage.places().get(kind)

    def _serving(self, held: Deployment) -> list[Any]:
        running = self.stage.world.driver.instances.get(held.id, {}).values()
        return [i for i in running if i.state is InstanceState.SERVING]


def _nothing(accepted: Any) -> Iterable[Deployment]:
    """A dial is no change: that it stays as it was turned is seen at every commit."""
    return ()
