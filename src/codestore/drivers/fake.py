"""A driver in memory: the worked example of the door, and the world the tests break on purpose.

Instances are values in a dictionary. What a real world would do by itself (become ready, end,
run out of requests) is done by the verbs at the end, so that a test chooses when.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from codestore.domain.faults import Letter, failed, unavailable
from codestore.domain.instances import (
    Instance,
    InstanceState,
    LogLine,
    TaskResult,
    View,
    Wake,
    Workload,
)
from codestore.domain.manifest import Health, RunKind
from codestore.domain.routing import Endpoint
from codestore.domain.secret import Secret
from codestore.domain.standby import Depth
from codestore.domain.verification import CONTROLS, REACHED, Aim, Attempt

WAKE_TIME = 0.01  # seconds that a caller waited for a wake


class FakeDriver:
    """Implements the doors ``Driver``, ``Standby``, ``Tasks``, ``Intruder`` and ``Logs``.

    ``broken`` holds digests whose instances never become ready, ``crashing`` those that end when
    a caller starts them, ``unhealthy`` those that fail their health check, ``unmigratable`` those
    whose migrations fail; ``sick`` ones are not well as soon as they serve. ``slow`` instances take
    a while to become ready: until :meth:`boot`. ``waiting`` counts callers by deployment,
    ``served`` and ``refused`` those that were answered; in a deployment that is ``occupied`` one
    stays connected. ``sockets`` are those that are held: one of each deployment, which its
    instances share, and a private one of each instance; ``wakes`` counts how often callers woke it.
    ``environments`` are the variables that each instance was started with.
    ``leaks`` is what a deployment reaches of whose; what is ``blocked`` it cannot do although it
    should; ``intrusions`` are the deployments that were verified.
    ``midway`` is called in the middle of what the world does not do at a stroke.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.instances: dict[str, dict[str, Instance]] = {}
        self.sockets: set[str] = set()
        self.woken: dict[str, Wake] = {}
        self.wakes: Counter[str] = Counter()
        self.slow = False
        self.midway: Callable[[], None] = _nothing
        self.broken: set[str] = set()
        self.crashing: set[str] = set()
        self.armed: dict[str, Workload] = {}
        self.coming: dict[str, Workload] = {}
        self.called_off: set[str] = set()  # of what is coming: nobody is told of it before it came
        self.held: set[str] = set()
        self.occupied: set[str] = set()
        self.waiting: Counter[str] = Counter()
        self.served = 0
        self.refused = 0
        self.pressed = False
        self.unhealthy: set[str] = set()
        self.unmigratable: set[str] = set()
        self.migrations: list[tuple[str, str]] = []
        self.intrusions: list[str] = []
        self.leaks: set[tuple[str, Aim, str]] = set()
        self.blocked: set[tuple[str, Aim]] = set()
        self.lines: dict[str, list[LogLine]] = {}
        self.digests: dict[str, str] = {}
        self.environments: dict[str, Mapping[str, Secret]] = {}
        self.sick: dict[str, str] = {}
        self.changed: asyncio.Queue[str] = asyncio.Queue()

    async def observe(self, deployment: str) -> View:
        """Tell what runs."""
        instances = tuple(self.instances.get(deployment, {}).values())
        coming = None if deployment in self.called_off else self.coming.get(deployment)
        armed = self.armed.get(deployment) or coming
        shared = [i for i in instances if i.address is None]
        endpoints = []
        if shared or (armed is not None and armed.run.kind is not RunKind.COMMAND):
            endpoints = [Endpoint(f"fake:{deployment}")]
        endpoints += [
            Endpoint(str(i.address), draining=i.state is InstanceState.DRAINING)
            for i in instances
            if i.address and i.state in (InstanceState.SERVING, InstanceState.DRAINING)
        ]
        held = Endpoint(f"fake:{deployment}.held") if deployment in self.held else None
        revision = None if armed is None else armed.revision
        woke = self.woken.get(deployment)
        return View(instances, tuple(endpoints), held, revision, woke, self.pressed)

    async def start(self, workload: Workload, ordinal: int) -> None:
        """Start an instance; it is ready at once unless it is slow, or its digest is broken."""
        name = f"{workload.deployment}.{workload.revision}.{ordinal}"
        if name not in self.instances.get(workload.deployment, {}):
            self.sockets.add(workload.deployment)
            self.midway()
        self._start(workload, ordinal, InstanceState.READY)

    def _start(self, workload: Workload, ordinal: int, goal: InstanceState) -> None:
        name = f"{workload.deployment}.{workload.revision}.{ordinal}"
        held = self.instances.setdefault(workload.deployment, {})
        if name in held:
            return
        digest = workload.artifact.digest
        self.sockets |= {workload.deployment, name}
        self.digests[name] = digest
        self.environments[name] = workload.environment
        waits = digest in self.broken or (self.slow and goal is InstanceState.READY)
        state = InstanceState.STARTING if waits else goal
        address = f"fake:{name}" if workload.run.kind is RunKind.COMMAND else None
        now, private = self.now(), f"fake:{name}"
        held[name] = Instance(
            name, workload.revision, ordinal, state, now, address, private=private, started=now
        )
        self.changed.put_nowait(workload.deployment)

    async def prove(self, deployment: str, instance: str, health: Health) -> None:
        """Refuse instances of unhealthy digests."""
        self._require(deployment, instance)
        if self.digests.get(instance) in self.unhealthy:
            raise failed("unhealthy", "The health check failed", f"{health.path} answered 500.")

    async def admit(self, deployment: str, instance: str) -> None:
        """Let it take requests."""
        self._require(deployment, instance)
        self._move(deployment, instance, InstanceState.READY, InstanceState.SERVING)
        self._answer(deployment)

    async def drain(self, deployment: str, instance: str) -> None:
        """Let it finish."""
        self._thaw(deployment, instance)
        for state in (InstanceState.STARTING, InstanceState.READY, InstanceState.SERVING):
            self._move(deployment, instance, state, InstanceState.DRAINING)

    async def stop(self, deployment: str, instance: str) -> None:
        """End and forget it."""
        self._stop(deployment, instance)

    def _stop(self, deployment: str, instance: str) -> None:
        held = self.instances.get(deployment, {})
        self.sockets.discard(instance)
        if instance in held:
            self.midway()
            del held[instance]
            self.changed.put_nowait(deployment)

    async def remove(self, deployment: str) -> None:
        """Forget the deployment."""
        self.sockets -= {each for each in self.sockets if each.partition(".")[0] == deployment}
        self.midway()
        self.lines.pop(deployment, None)
        self.instances.pop(deployment, None)
        self.armed.pop(deployment, None)
        self.held.discard(deployment)
        self.waiting.pop(deployment, None)  # who waits at a socket that is closed is told
        self.woken.pop(deployment, None)

    async def hold(self, deployment: str, instance: str) -> None:
        """Hold a place where callers wait."""
        self.held.add(deployment)
        self.changed.put_nowait(deployment)

    async def freeze(self, deployment: str, instance: str, queue: int) -> bool:
        """Freeze it unless somebody is connected."""
        if deployment in self.occupied or self.waiting[deployment]:
            return False
        self._move(deployment, instance, InstanceState.SERVING, InstanceState.FROZEN)
        return True

    async def thaw(self, deployment: str, instance: str) -> None:
        """Let it go on."""
        self._thaw(deployment, instance)

    def _thaw(self, deployment: str, instance: str) -> None:
        self._move(deployment, instance, InstanceState.FROZEN, InstanceState.SERVING)
        self._answer(deployment)

    async def stop_frozen(self, workload: Workload, instance: str) -> None:
        """End it if it is frozen."""
        deployment = workload.deployment
        held = self.instances.get(deployment, {}).get(instance)
        if held is not None and held.state is InstanceState.FROZEN:
            self._stop(deployment, instance)

    async def arm(self, workload: Workload, queue: int) -> None:
        """Have the next caller start an instance; one may wait already."""
        self.armed[workload.deployment] = workload
        self.sockets.add(workload.deployment)
        if workload.run.kind is RunKind.COMMAND:
            self.held.add(workload.deployment)
        self.changed.put_nowait(workload.deployment)
        self._wake(workload.deployment)

    async def disarm(self, deployment: str) -> None:
        """Have callers start nothing."""
        self.armed.pop(deployment, None)
        if deployment in self.coming:
            self.called_off.add(deployment)
        self.changed.put_nowait(deployment)

    async def refuse(self, deployment: str, letter: Letter) -> int:
        """Answer everybody who waits."""
        count = self.waiting.pop(deployment, 0)
        self.refused += count
        return count

    async def changes(self) -> AsyncIterator[str]:
        """Yield deployments that have instances, then those whose view changed."""
        for deployment in self.inhabited():
            yield deployment
        while True:
            yield await self.changed.get()

    async def run(self, workload: Workload, name: str, timeout: float) -> TaskResult:
        """Run a task to its end, at once."""
        self.migrations.append((workload.deployment, workload.artifact.digest))
        if workload.artifact.digest in self.unmigratable:
            return TaskResult(False, "exit code 1", ("no such column",))
        return TaskResult(True, "exit code 0")

    async def attempt(
        self, workload: Workload, attempts: Sequence[Attempt], timeout: float
    ) -> list[str]:
        """Try everything: what must succeed does, and besides that what leaks."""
        self.intrusions.append(workload.deployment)
        return [self._tried(workload.deployment, each) for each in attempts]

    def _tried(self, deployment: str, attempt: Attempt) -> str:
        if (deployment, attempt.aim) in self.blocked:
            return "EACCES"
        leaks = (deployment, attempt.aim, attempt.whose) in self.leaks
        return REACHED if leaks or attempt.aim in CONTROLS else "ENOENT"

    async def tail(self, deployment: str, count: int) -> list[LogLine]:
        """Return the newest lines."""
        return self.lines.get(deployment, [])[-count:]

    async def follow(self, deployment: str, count: int) -> AsyncIterator[LogLine]:
        """Yield the newest lines; the fake's story ends there."""
        for line in await self.tail(deployment, count):
            yield line

    async def note(self, deployment: str, text: str) -> None:
        """Add a line of the platform's own."""
        line = LogLine(self.now(), "platform", "platform", text)
        self.lines.setdefault(deployment, []).append(line)

    async def prune(self, before: datetime) -> None:
        """Delete old lines."""
        for deployment, lines in self.lines.items():
            self.lines[deployment] = [line for line in lines if line.at >= before]

    # What the world does by itself.

    def inhabited(self) -> list[str]:
        """Return the deployments that have instances."""
        return [deployment for deployment, held in self.instances.items() if held]

    def call(self, deployment: str) -> None:
        """A caller comes: answered by whoever serves, or the one that wakes the deployment."""
        self.waiting[deployment] += 1
        self._wake(deployment)

    def _wake(self, deployment: str) -> None:
        if not self.waiting[deployment]:
            return
        for instance in list(self.instances.get(deployment, {}).values()):
            if instance.state is InstanceState.FROZEN:
                self._move(deployment, instance.name, instance.state, InstanceState.SERVING)
                self._wake_told(deployment, Depth.FROZEN)
        workload = self.armed.pop(deployment, None)
        if workload is not None:
            self.coming[deployment] = workload
            self.called_off.discard(deployment)
            if not self.slow:
                self._come()
        self._answer(deployment)

    def _come(self) -> None:
        """What callers were to start is there."""
        for deployment, workload in list(self.coming.items()):
            del self.coming[deployment]
            self.called_off.discard(deployment)
            self._wake_told(deployment, Depth.STOPPED)
            self._start(workload, 0, InstanceState.SERVING)
            if workload.artifact.digest in self.crashing:
                name = f"{deployment}.{workload.revision}.0"
                self.end(deployment, name, "exit code 1")
            self._answer(deployment)

    def _wake_told(self, deployment: str, depth: Depth) -> None:
        self.woken[deployment] = Wake(self.now(), WAKE_TIME, depth)
        self.wakes[deployment] += 1

    def _answer(self, deployment: str) -> None:
        states = {i.state for i in self.instances.get(deployment, {}).values()}
        if InstanceState.SERVING in states:
            self.served += self.waiting.pop(deployment, 0)

    def end(self, deployment: str, instance: str, ending: str) -> None:
        """An instance ends, whoever wanted it or not."""
        held = self.instances.get(deployment, {})
        if instance in held:
            dismissed = held[instance].state is InstanceState.DRAINING
            ended = replace(held[instance], state=InstanceState.ENDED, failing=None)
            held[instance] = replace(ended, since=self.now(), ending=ending, dismissed=dismissed)
            self.changed.put_nowait(deployment)

    def boot(self) -> None:
        """Instances that were starting become ready, but for the broken ones."""
        self._come()
        for deployment, held in self.instances.items():
            for name in held:
                if self.digests[name] not in self.broken:
                    self._move(deployment, name, InstanceState.STARTING, InstanceState.READY)

    def ail(self, deployment: str, instance: str, failing: str | None) -> None:
        """An instance that serves is not well any more, or is again."""
        held = self.instances.get(deployment, {})
        if instance in held:
            held[instance] = replace(held[instance], failing=failing)
            self.changed.put_nowait(deployment)

    def _require(self, deployment: str, name: str) -> None:
        held = self.instances.get(deployment, {}).get(name)
        if held is None or held.state is InstanceState.ENDED:
            raise unavailable("instance_gone", "The instance is gone", f"{name} has ended.")

    def _move(
        self, deployment: str, name: str, before: InstanceState, after: InstanceState
    ) -> None:
        held = self.instances.get(deployment, {})
        if name in held and held[name].state is before:
            sick = self.sick.get(self.digests[name]) if after is InstanceState.SERVING else None
            held[name] = replace(held[name], state=after, since=self.now(), failing=sick)
            self.changed.put_nowait(deployment)


def _nothing() -> None:
    """The world goes on."""
