"""Waiting for changes to be concluded, and following events, without asking over and over."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from codestore.actions.office import Office
from codestore.domain.deployments import Deployment
from codestore.domain.events import Event, EventKind
from codestore.domain.faults import Letter, conflict
from codestore.ports import EVERYTHING, Records, Store

BATCH = 500
FEW = 50  # events among which a change that was just asked for begins


class Bulletin:
    """Fans one ``Store.watch()`` out to everybody who waits in this process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[asyncio.Event, frozenset[str] | None] = {}

    async def run(self) -> None:
        """Follow the store for ever; ends by cancellation."""
        async for id_ in self._store.watch():
            for bell, ids in self._waiting.items():
                if ids is None or id_ == EVERYTHING or id_ in ids:
                    bell.set()

    @asynccontextmanager
    async def bell(self, ids: Iterable[str] | None) -> AsyncIterator[asyncio.Event]:
        """Lend an event that is set whenever one of these deployments (or any) has news."""
        event = asyncio.Event()
        self._waiting[event] = None if ids is None else frozenset(ids)
        try:
            yield event
        finally:
            del self._waiting[event]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a wait ended: what became of each deployment (``None``: it is gone)."""

    deployments: dict[str, Deployment | None]
    letters: list[Letter] = field(default_factory=list)

    @property
    def succeeded(self) -> bool:
        """Whether everything that was waited for is live (or gone, if that was wanted)."""
        return not self.letters


async def wait(
    office: Office, bulletin: Bulletin, waits: dict[str, int], after: int | None
) -> AsyncIterator[Event | Ended]:
    """Yield the events of these deployments' generations in order, then how it ended.

    ``after`` is the number of the last event that was seen, if any was.
    """
    async with bulletin.bell(waits) as bell:
        while True:
            bell.clear()
            look = await _look(office, waits, after)
            after = look.after
            for event in look.events:
                yield event
            if look.more:
                continue
            if look.ended is not None:
                yield look.ended
                return
            await bell.wait()


async def follow_events(
    office: Office, bulletin: Bulletin, deployments: frozenset[str], after: int
) -> AsyncIterator[Event]:
    """Yield every event of these deployments after a sequence number, until closed."""
    async with bulletin.bell(deployments) as bell:
        while True:
            bell.clear()
            async with office.store.begin() as records:
                events = await records.events(after, BATCH, among=deployments)
            for event in events:
                after = event.sequence
                yield event
            if len(events) < BATCH:
                await bell.wait()


@dataclass(frozen=True, slots=True)
class _Look:
    """What was read: events that are waited for, up to the number ``after``; ``more`` are there."""

    events: list[Event]
    after: int
    more: bool
    ended: Ended | None


async def _look(office: Office, waits: dict[str, int], after: int | None) -> _Look:
    """Read deployments first, events second: what concludes is written with its events."""
    found: dict[str, Deployment | None] = {}
    async with office.store.begin() as records:
        for id_ in waits:
            held = await records.find(Deployment, id=id_)
            found[id_] = held[0] if held else None
        if after is None:
            after = await _beginning(records, waits)
        read = await records.events(after, BATCH, among=waits)
    events = [event for event in read if event.generation >= waits[event.deployment]]
    last = read[-1].sequence if read else after
    return _Look(events, last, len(read) == BATCH, await _ended(office, waits, found))


async def _beginning(records: Records, waits: dict[str, int]) -> int:
    """Return the number before the first event of these generations, of the newest of each."""
    firsts: list[int] = []
    for id_, generation in waits.items():
        for limit in (FEW, BATCH):
            told = await records.events(0, limit, newest=True, deployment=id_)
            if len(told) < limit or told[0].generation < generation:
                break
        firsts += [event.sequence for event in told if event.generation >= generation][:1]
    return min(firsts, default=1) - 1


async def _ended(
    office: Office, waits: dict[str, int], found: dict[str, Deployment | None]
) -> Ended | None:
    """Say how it ended, if all of it has."""
    letters: list[Letter] = []
    for id_, generation in waits.items():
        deployment = found[id_]
        if deployment is None:
            letters += await _removed_instead(office, id_, generation)
            continue
        if deployment.status.generation < generation:
            return None
        letter = await _failure(office, deployment, generation)
        if letter is not None:
            letters.append(replace(letter, where=letter.where or deployment.kind.value))
    return Ended(found, letters)


async def _failure(office: Office, deployment: Deployment, generation: int) -> Letter | None:
    """Say why a concluded generation failed, also to somebody who asks after the next one."""
    failure = deployment.status.failure
    if failure is not None and failure.generation == generation:
        return failure.letter
    if deployment.status.generation == generation:
        return None
    async with office.store.begin() as records:
        told = await records.events(0, BATCH, newest=True, deployment=deployment.id)
    mine = [held for held in told if held.generation == generation]
    return next((held.letter for held in mine if held.kind is EventKind.FAILED), None)


async def _removed_instead(office: Office, id_: str, generation: int) -> list[Letter]:
    """Say that something else became of a change: the deployment was removed meanwhile."""
    async with office.store.begin() as records:
        told = await records.events(0, BATCH, newest=True, deployment=id_)
    if any(held.kind is EventKind.REMOVED and held.generation == generation for held in told):
        return []
    fault = conflict("removed", "Removed meanwhile", "The deployment was removed before that.")
    return [fault.letter]
