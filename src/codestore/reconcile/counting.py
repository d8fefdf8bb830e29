"""The promise is counted: requests and failures by minute, and an alarm when too many fail.

What the gateway had counted is remembered in the same transaction that adds what is new. So nothing
is counted twice or lost, whenever this process ends: what was served while nobody looked is in the
gateway's counters still, and is added at the next look.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import structlog

from codestore.domain.budgeting import (
    LONGEST,
    LONGEST_SHORT,
    burn_of,
    burning,
    faster,
    mark_budget,
    told,
)
from codestore.domain.canary import Tally
from codestore.domain.deployments import Deployment
from codestore.domain.events import EventKind, event_of
from codestore.domain.faults import Fault
from codestore.domain.keys import Client, Usage, counted
from codestore.domain.looks import Look, came, came_late, to_forget, to_remember
from codestore.domain.promise import PROMISED, Budget, hour_of, month_of
from codestore.ports import Page, Reading, Records
from codestore.reconcile.doors import Doors

EVERY = 15.0  # seconds between two looks
JUDGED = 4  # looks from one judgement to the next
LAST = 5.0  # seconds for a last look before the end
log = structlog.get_logger(__name__)


async def keep_count(doors: Doors) -> None:
    """Count now and every 15 seconds, judge every minute, until cancelled.

    Then look a last time: if the gateway is to end too, its counters end with it.
    """
    looks = 0
    try:
        while True:
            await _attempt(doors, judging=looks % JUDGED == 0)
            looks += 1
            await asyncio.sleep(EVERY)
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST):
                await _attempt(doors, judging=False)


async def count(doors: Doors) -> None:
    """Add what came since the last look at the counters; without a look, nothing happens."""
    async with doors.store.begin() as records:
        held = await promised(records)
    if not held:
        return
    reading = await doors.traffic.reading([deployment.hash for deployment in held])
    now = _look(reading, held, doors.clock.now())
    born = {deployment.id: deployment.created_at for deployment in held}
    async with doors.store.begin() as records:
        before = await records.tallies.last()
        if not came_late(before, now):
            await records.tallies.add(
                came(before, now, born), to_remember(before, now), to_forget(before, now, born)
            )


async def count_calls(doors: Doors) -> None:
    """Add what clients called since the last look, while there are clients."""
    async with doors.store.begin() as records:
        if not await records.find(Client, Page(1)):
            return
    calls, now = await doors.traffic.calls(), doors.clock.now()
    async with doors.store.begin() as records:
        known = {client.id for client in await records.find(Client)}
        for id_ in known & calls.totals.keys():
            usage = await records.get(Usage, id_) or Usage(id_)
            after = counted(usage, calls.run, calls.totals[id_], now)
            if after != usage:
                await records.put(after)


def _look(reading: Reading, held: Sequence[Deployment], now: datetime) -> Look:
    """Say a reading in the words of what is remembered; a counter without sources is one."""
    totals = {}
    for deployment in held:
        if (counters := reading.counters.get(deployment.hash)) is not None:
            whole = {"": Tally(counters.requests, counters.failures)}
            totals[deployment.id] = counters.sources if reading.run else whole
    return Look(now, reading.run or reading.epoch, totals)


async def judge(doors: Doors) -> None:
    """Begin and end alarms. Where nothing failed of late, there is none to begin."""
    now = doors.clock.now()
    async with doors.store.begin() as records:
        held = await promised(records)
        ids = [deployment.id for deployment in held]
        lately = await records.tallies.sums(ids, hour_of(now - LONGEST_SHORT), now)
    for deployment in held:
        if lately.get(deployment.id, Tally()).failures or burn_of(deployment) is not None:
            await _judge(deployment, doors, now)


async def promised(records: Records) -> list[Deployment]:
    """Return every deployment that something is promised of."""
    return [each for kind in PROMISED for each in await records.find(Deployment, kind=kind.value)]


async def _judge(found: Deployment, doors: Doors, now: datetime) -> None:
    promise = PROMISED[found.kind]
    async with doors.store.begin() as records:
        hours = await records.tallies.hours(found.id, hour_of(now - LONGEST), now)
        if burning(hours, promise, now, burn_of(found)) == burn_of(found):
            return
        current = await records.get(Deployment, found.id)
        if current is None:
            return
        before = burn_of(current)
        burn = burning(hours, promise, now, before)
        if burn == before:
            return
        sums = await records.tallies.sums([found.id], month_of(now), now)
        text = told(burn, hours, Budget(promise, sums.get(found.id, Tally())), now)
        after = mark_budget(current, burn, text, now)
        await records.put(after)
        tell = burn is None or faster(burn, before)
        if tell:
            kind = EventKind.BUDGET_CALM if burn is None else EventKind.BUDGET_BURNING
            await records.emit(event_of(after, kind, text, now))
    if tell:
        await doors.logs.note(found.id, text)


async def _attempt(doors: Doors, *, judging: bool) -> None:
    """Count, and judge what is counted; what cannot be done now is done at the next look."""
    try:
        await count(doors)
        await count_calls(doors)
        if judging:
            await judge(doors)
    except Fault as fault:
        log.warning("cannot count", error=str(fault))
    except Exception:
        log.exception("could not count")
