"""A platform in memory whose control process can die: its loop, its death, and its next life.

What the control process remembers dies with it: what it was to look at, when, and the routes that
the proxy has confirmed. What stays is the store, and the world: instances, sockets, databases,
what the proxy follows and has counted.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from codestore.actions.office import Office
from codestore.domain.deployments import Deployment
from codestore.domain.faults import Fault
from codestore.domain.instances import InstanceState
from codestore.domain.manifest import Manifest
from codestore.domain.roles import HOME, Role
from codestore.domain.services import User
from codestore.plan.fold import retry_delay
from codestore.plan.standby import at_rest
from codestore.reconcile.cycle import cycle
from codestore.reconcile.housekeeping import tidy
from codestore.reconcile.restoring import restored_routes
from tests.crashes.fuse import Fuse, guard, guard_at_once
from tests.crashes.ledger import TURN, Ledger
from tests.crashes.promises import Promises
from tests.crashes.store import GuardedStore
from tests.support.fakes import CrashError, World, make_world

ADA = User("usr-ada", "ada", HOME, Role.OWNER)
EFFECTS = {
    "driver": (
        *("start", "prove", "admit", "drain", "stop", "remove", "run"),
        *("hold", "freeze", "thaw", "stop_frozen", "arm", "disarm", "refuse"),
    ),
    "databases": ("create", "open_login", "close_logins", "drop"),
    "builder": ("seal", "prepare", "collect"),
    "gateway": ("publish", "withdraw", "restore"),
}
KEYRING = ("begin", "finish")
KEPT_READY = 1  # versions of a service that stay runnable
TICK = timedelta(milliseconds=1)  # no two things happen at the same time
STRIDE = timedelta(seconds=5)  # time passes in steps of at least so much
PATIENCE = 12  # strides after which whatever is broken in the world is mended
TURNS = 800  # far more than any history needs; reaching it means that it does not converge


class Stage:
    """Everything of one history: the world, the store, and the one control process at a time."""

    def __init__(self, manifest: Manifest, fuse: Fuse) -> None:
        self.fuse = fuse
        self.store = GuardedStore(fuse)
        self.world: World = make_world(self.store, manifest)
        self.world.clock.tick = TICK
        self.ledger = Ledger()
        self.promises = Promises(self.world, self.ledger)
        self.ledger.by_turns = self.promises.told
        self.store.committed = self.ledger.committed
        doors = self.world.doors
        self.office = Office(
            doors.store, doors.builder, doors.vault, doors.clock, doors.logs, doors.keyring
        )
        self.lives = 1
        self.lose_patience: Callable[[], Awaitable[None]] = self._nobody_asks
        self._due: dict[str, None] = {}
        self._timers: dict[str, datetime] = {}
        self._failures: dict[str, int] = {}
        self._turns = 0
        for door, names in EFFECTS.items():
            guard(getattr(self.world, door), names, fuse, self.promises)
        guard_at_once(doors.keyring, KEYRING, fuse, self.promises)
        self.world.driver.midway = self.world.databases.midway = fuse.midway

    async def survive(self, what: Callable[[], Awaitable[None]]) -> bool:
        """Do something; if the process dies of it, the next one starts. Tell whether it did not."""
        try:
            await what()
        except CrashError:
            await self._next_life()
            return False
        return True

    async def through(self, what: Callable[[], Awaitable[None]]) -> None:
        """Do something, again in each next life, until it is done."""
        while not await self.survive(what):
            pass

    async def start(self) -> None:
        """Start a control process, as ``wiring.serving`` does."""
        doors = self.world.doors
        self.ledger.author, self.promises.turn, self.promises.ran = TURN, None, ("", "")
        self.fuse.alone = True
        try:
            await doors.gateway.restore(await restored_routes(doors))
        finally:
            self.fuse.alone = False
        await tidy(doors, KEPT_READY)
        for id_ in self.world.driver.inhabited():  # as its changes tell whoever follows them anew
            self._look(id_)
        for deployment in await self.store.all(Deployment):
            if not at_rest(deployment, await doors.driver.observe(deployment.id)):
                self._look(deployment.id)

    async def _next_life(self) -> None:
        while True:
            self.fuse.note("======== dead; the next life")
            self._forget()
            self.lives += 1
            try:
                await self.start()
            except CrashError:
                continue
            return

    def _forget(self) -> None:
        """All that a process knows is lost with it."""
        self._due.clear()
        self._timers.clear()
        self._failures.clear()
        self._news()
        self.store.changed.clear()
        self.store.busy = False
        self.world.gateway.confirmed.clear()
        self.world.traffic.quiet_since = None
        self.ledger.disturbed = False
        self.fuse.revive()

    def _news(self) -> list[str]:
        """Return the deployments that the driver has told of since."""
        changed = self.world.driver.changed
        return [changed.get_nowait() for _ in range(changed.qsize())]

    def _look(self, id_: str) -> None:
        self._timers.pop(id_, None)
        self._due[id_] = None

    async def turns(self, count: int) -> None:
        """Take so many turns, if there are so many to be taken."""
        for _ in range(count):
            if not await self.turn():
                return

    async def turn(self) -> bool:
        """Take one turn of one deployment, as the loop does; tell whether there was one."""
        for id_ in (*self.store.changed, *self._news()):
            self._look(id_)
        self.store.changed.clear()
        if not self._due:
            return False
        id_ = next(iter(self._due))
        del self._due[id_]
        self._turns += 1
        assert self._turns < TURNS, "it does not converge"
        before = (self.ledger.author, self.promises.turn, self.ledger.disturbed)
        self.ledger.author, self.ledger.disturbed = TURN, False
        self.promises.turn = self.ledger.deployments.get(id_)
        held = self.promises.turn
        self.fuse.note("-- turn", id_, held and held.kind, self.world.clock.at)
        try:
            turn = await cycle(id_, self.world.doors)
        except Fault:  # what it was to look at does not answer
            failures = self._failures[id_] = self._failures.get(id_, 0) + 1
            self._timers[id_] = self.world.clock.at + retry_delay(failures - 1, id_)
        else:
            self._failures.pop(id_, None)
            if turn.again:
                self._look(id_)
            elif turn.at is not None:
                self._timers[id_] = turn.at
        self.ledger.author, self.promises.turn, self.ledger.disturbed = before
        return True

    async def work(self) -> None:
        """Take turns until nobody has anything to do at once."""
        while await self.turn() or self.nature():
            pass

    def nature(self) -> bool:
        """Let the world do what it does by itself: what starts is ready, what drains ends."""
        driver = self.world.driver
        driver.boot()
        for deployment, held in driver.instances.items():
            for name, instance in list(held.items()):
                if instance.state is InstanceState.DRAINING and instance.address is None:
                    driver.end(deployment, name, "exit code 0")
        return not driver.changed.empty()

    def pass_time(self) -> bool:
        """Let time pass until somebody is to look again; tell whether anybody is."""
        self.promises.rest(self._failures)
        if not self._timers:
            return False
        clock = self.world.clock
        clock.at = max(clock.at + STRIDE, min(self._timers.values()))
        self.ring()
        return True

    def ring(self) -> bool:
        """Whoever was to be looked at by now is looked at; tell whether anybody was."""
        due = [id_ for id_, at in self._timers.items() if at <= self.world.clock.at]
        for id_ in due:
            self._look(id_)
        return bool(due)

    async def concluded(self) -> None:
        """Wait as a person does: until no change is under way, but for what is paused."""

        def concluded() -> bool:
            held = self.ledger.deployments.values()
            return not any(d.busy and not d.spec.dials.paused for d in held)

        await self.until(concluded)

    async def quiet(self) -> None:
        """Wait until nobody is ever to look again."""
        await self.until(lambda: False)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Work, and let time pass, until something holds, or nothing can change any more."""
        self._turns, strides = 0, 0
        while True:
            await self.work()
            await self.fuse.now()
            if holds():
                return
            if self._due or self.store.changed or not self.world.driver.changed.empty():
                continue
            if self.ring():  # time passed during a turn, which then asked for a look by now
                continue
            strides += 1
            if strides == PATIENCE:
                self.mend()
                await self.lose_patience()
            if not self.pass_time():
                return

    def mend(self) -> None:
        """Whatever was broken in the world is whole again."""
        world = self.world
        world.databases.away = world.gateway.away = world.driver.pressed = False
        world.driver.occupied.clear()
        world.driver.sick.clear()

    async def _nobody_asks(self) -> None:
        """Nobody does anything about a canary that is paused."""

    async def tidy(self) -> None:
        """Throw away what nobody names, as it is done every hour."""
        await tidy(self.world.doors, KEPT_READY)

    def places(self) -> dict[str, Deployment]:
        """Return the deployments by the name of their environment."""
        return {d.kind.value: d for d in self.ledger.deployments.values()}
