"""Scaling: how many requests are under way, second by second, and what that asks for.

The measurements are kept in memory only: after a restart they are made anew, and nothing is scaled
down on less than a whole window of them. What was decided is an intent like any other; the loop
does it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from codestore.domain.deployments import Deployment, rescaled
from codestore.domain.environments import POLICIES
from codestore.domain.events import EventKind, event_of
from codestore.domain.faults import Fault
from codestore.domain.instances import InstanceState
from codestore.domain.overrides import Override, span
from codestore.domain.versions import Version
from codestore.plan.autoscaling import Decision, Load, Scaling, decide, read
from codestore.ports import EVERYTHING, Records
from codestore.reconcile.doors import Doors

TICK = 1.0  # seconds between two readings
TICKS = 2  # readings from one decision to the next
KINDS = tuple(kind for kind, policy in POLICIES.items() if policy.max_instances > 1)
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Scaled:
    """A deployment that may have more than one instance, and what was read of it lately."""

    deployment: Deployment
    scaling: Scaling
    load: Load = field(default_factory=Load)


class Scaler:
    """Reads the load of all that may grow, and writes down how many instances it asks for."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._scaled: dict[str, Scaled] = {}
        self._any = asyncio.Event()

    async def run(self) -> None:
        """Measure and decide until cancelled; nothing is asked while nothing may grow."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(self._doors.store.watch(events=False)))
            while True:
                for _ in range(TICKS):
                    await self._any.wait()
                    await self.measure()
                    await asyncio.sleep(TICK)
                await self.decide()

    async def measure(self) -> None:
        """Take one reading of everything; one that fails is left out."""
        hashes = [held.deployment.hash for held in self._scaled.values()]
        try:
            under_way = await self._doors.traffic.loads(hashes)
        except Fault as fault:
            log.warning("the load is not known", error=str(fault))
            return
        now = self._doors.clock.now()
        for held in self._scaled.values():
            requests = under_way.get(held.deployment.hash, 0)
            held.load = read(held.load, requests, held.scaling, now)

    async def decide(self) -> None:
        """Decide for everything; write down what changes."""
        for id_, held in list(self._scaled.items()):
            with suppress(Fault):  # the store is away: it is asked again in a moment
                await self._decide(id_, held)

    async def _decide(self, id_: str, held: Scaled) -> None:
        count = _wanted(held)
        view = await self._doors.driver.observe(id_)
        ready = sum(i.state is InstanceState.SERVING for i in view.instances)
        decision = decide(held.load, held.scaling, count, ready, self._doors.clock.now())
        held.load = decision.load
        if decision.count != count:
            await self._write(held, count, decision)

    async def _write(self, held: Scaled, before: int, decision: Decision) -> None:
        id_, now = held.deployment.id, self._doors.clock.now()
        async with self._doors.store.begin() as records:
            current = await records.get(Deployment, id_)
            if current is None or not _may_grow(current):
                return
            after = rescaled(current, decision.count)
            text = f"{before} → {decision.count} instances: {decision.reason}"
            await records.put(after)
            await records.emit(event_of(after, EventKind.SCALED, text, now))
        held.deployment = after

    async def _follow(self, changes: AsyncIterator[str]) -> None:
        await self.learn()
        async for id_ in changes:
            await self.learn(None if id_ == EVERYTHING else id_)

    async def learn(self, id_: str | None = None) -> None:
        """Read what may grow, and how far: one deployment, or all."""
        try:
            async with self._doors.store.begin() as records:
                if id_ is None:
                    found = [d for kind in KINDS for d in await records.find(Deployment, kind=kind)]
                    for gone in self._scaled.keys() - {held.id for held in found}:
                        del self._scaled[gone]
                else:
                    found = await records.find(Deployment, id=id_)
                    if not found:
                        self._scaled.pop(id_, None)
                for deployment in found:
                    await self._note(records, deployment)
        except Fault as fault:
            log.warning("cannot look", error=str(fault))
        if self._scaled:
            self._any.set()
        else:
            self._any.clear()

    async def _note(self, records: Records, deployment: Deployment) -> None:
        if not _may_grow(deployment):
            self._scaled.pop(deployment.id, None)
            return
        scaling = await _scaling(records, deployment)
        if scaling.minimum == scaling.maximum:
            self._scaled.pop(deployment.id, None)
            return
        held = self._scaled.get(deployment.id)
        load = held.load if held is not None and held.scaling == scaling else Load()
        self._scaled[deployment.id] = Scaled(deployment, scaling, load)


async def _scaling(records: Records, deployment: Deployment) -> Scaling:
    """Return how a deployment is scaled: its policy, and what the wanted version says."""
    (version,) = await records.find(
        Version, service=deployment.service, number=deployment.spec.number
    )
    policy = POLICIES[deployment.kind]
    override = version.seal.manifest.overrides.get(deployment.kind, Override())
    low, high = span(policy, override)
    return Scaling(low, high, float(override.concurrency or policy.concurrency))


def _may_grow(deployment: Deployment) -> bool:
    """Whether it runs: what sleeps or is to go is not measured."""
    status = deployment.status
    awake = status.live is not None and status.standby is None
    return deployment.kind in KINDS and awake and not deployment.spec.removed


def _wanted(held: Scaled) -> int:
    scale = held.deployment.spec.dials.scale
    return held.scaling.minimum if scale is None else scale
