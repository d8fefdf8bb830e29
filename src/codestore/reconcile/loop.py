"""What to look at next: told by the store, by the driver, or by the time; one turn at a time each.

Turns of different deployments run side by side, up to a bound; a deployment is never in two
turns at once. A turn that blows up is logged and tried again later: the loop itself goes on.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import structlog

from codestore.domain.deployments import Deployment
from codestore.domain.faults import Fault
from codestore.plan.fold import retry_delay
from codestore.plan.standby import at_rest
from codestore.ports import EVERYTHING
from codestore.reconcile.cycle import cycle
from codestore.reconcile.doors import Doors

SIDE_BY_SIDE = 16
STORE_AWAY = 1.0  # seconds until the store is asked again
log = structlog.get_logger(__name__)


class Loop:
    """Runs turns until cancelled."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._turns = asyncio.Semaphore(SIDE_BY_SIDE)
        self._running: set[str] = set()
        self._again: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Follow store and driver for ever; ends by cancellation, and its turns with it."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                # A turn's own events must not cut its back-off short.
                group.create_task(self._follow(self._doors.store.watch(events=False)))
                group.create_task(self._follow(self._doors.driver.changes()))
                await self._look_at_everything()
        finally:
            self._group = None
            for timer in self._timers.values():
                timer.cancel()

    def look(self, id_: str) -> None:
        """Take a turn for this deployment soon; while one runs, another one after it."""
        timer = self._timers.pop(id_, None)
        if timer is not None:
            timer.cancel()
        if id_ in self._running:
            self._again.add(id_)
        elif self._group is not None:
            self._running.add(id_)
            self._group.create_task(self._turns_of(id_))

    async def _follow(self, source: AsyncIterator[str]) -> None:
        async for id_ in source:
            if id_ == EVERYTHING:
                await self._look_at_everything()
            else:
                self.look(id_)

    async def _look_at_everything(self) -> None:
        """Look at every deployment that is not at rest; if the store is away, when it is back."""
        try:
            async with self._doors.store.begin() as records:
                deployments = await records.find(Deployment)
        except Fault as fault:
            log.warning("cannot look", error=str(fault))
            loop = asyncio.get_running_loop()
            loop.call_later(STORE_AWAY, self._again_later)
            return
        for deployment in deployments:
            if not at_rest(deployment, await self._doors.driver.observe(deployment.id)):
                self.look(deployment.id)

    def _again_later(self) -> None:
        if self._group is not None:
            self._group.create_task(self._look_at_everything())

    async def _turns_of(self, id_: str) -> None:
        """Take turns until nothing is left to do at once."""
        try:
            again = True
            while again:
                self._again.discard(id_)
                async with self._turns:
                    again = await self._turn(id_)
                again = again or id_ in self._again
        finally:
            self._running.discard(id_)
            self._again.discard(id_)

    async def _turn(self, id_: str) -> bool:
        try:
            turn = await cycle(id_, self._doors)
        except Exception:
            failures = self._failures.get(id_, 0)
            self._failures[id_] = failures + 1
            log.exception("turn failed", deployment=id_, failures=failures + 1)
            self._wake_in(id_, retry_delay(failures, id_).total_seconds())
            return False
        self._failures.pop(id_, None)
        if turn.at is not None and not turn.again:
            self._wake_at(id_, turn.at)
        return turn.again

    def _wake_at(self, id_: str, at: datetime) -> None:
        self._wake_in(id_, max(0.0, (at - self._doors.clock.now()).total_seconds()))

    def _wake_in(self, id_: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        old = self._timers.pop(id_, None)
        if old is not None:
            old.cancel()
        self._timers[id_] = loop.call_later(seconds, self.look, id_)
