"""The platform's memory, for tests: the same door as on PostgreSQL, gone when the process ends.

One event loop. Transactions run one after the other, so a deployment needs no lock of its own.
Nouns are frozen and shared, never copied; a transaction copies a table's dict when it first writes
to it, and puts the old one back when it fails.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, cast

from codestore.domain.deployments import Deployment
from codestore.domain.events import Event
from codestore.domain.faults import Fault
from codestore.domain.services import Service
from codestore.ports import EVERYTHING, N, Noun, Page, Records
from codestore.store.memory_tallies import Ledger, MemoryTallies
from codestore.store.memory_trail import MemoryTrail, Pages
from codestore.store.shapes import EVENT_FIELDS, SHAPES, check_filters, columns, filters, lost_page

_BACKLOG = 1000
"""Ids a watcher may be behind; with more it is told to look at everything."""

_Table = dict[str, Noun]
_Told = tuple[Event, str | None]  # with the organization of its service
_Events = list[_Told | None]  # nothing where one is forgotten: the others keep their numbers


class MemoryStore:
    """Implements the Store door in this process."""

    def __init__(self) -> None:
        self._tables: dict[type[Noun], _Table] = {kind: {} for kind in SHAPES}
        self._events: _Events = []
        self._ledger = Ledger()
        self._pages = Pages()
        self._turn = asyncio.Lock()
        self._owner: asyncio.Task[Any] | None = None
        self._watchers: set[_Watcher] = set()

    @property
    def leading(self) -> bool:
        """Always: nobody else has this memory."""
        return True

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Records]:
        """Open a transaction: kept at the end of the block, undone by an exception.

        Raises RuntimeError inside another transaction of the same task, which would wait for
        itself for ever.
        """
        if self._owner is not None and self._owner is asyncio.current_task():
            raise RuntimeError("a transaction inside a transaction")
        async with self._turn:
            self._owner = asyncio.current_task()
            records = MemoryRecords(self._tables, self._events, self._ledger, self._pages)
            try:
                yield records
                records.settle()
            except BaseException:
                records.undo()
                raise
            finally:
                self._owner = None
        for watcher in self._watchers:
            watcher.tell(records.changed | records.spoken_of if watcher.events else records.changed)

    async def watch(self, *, events: bool = True) -> AsyncIterator[str]:
        """Yield ``*`` once it watches, then the id of each deployment that changed."""
        watcher = _Watcher(events)
        self._watchers.add(watcher)
        try:
            while True:
                yield await watcher.next()
        finally:
            self._watchers.discard(watcher)

    async def lead(self) -> None:
        """Return at once: nobody else has this memory."""

    async def close(self) -> None:
        """Do nothing: there is nothing to let go of."""


class MemoryRecords:
    """Implements the Records door; one transaction on the tables it is given."""

    def __init__(
        self, tables: dict[type[Noun], _Table], events: _Events, ledger: Ledger, pages: Pages
    ) -> None:
        self.tallies = MemoryTallies(ledger)
        self.trail = MemoryTrail(pages)
        self.changed: dict[str, None] = {}
        self.spoken_of: dict[str, None] = {}
        self._tables = tables
        self._before: dict[type[Noun], _Table] = {}
        self._events = events
        self._events_before = len(events)
        self._forgotten: dict[int, _Told] = {}
        self._broken: Fault | None = None

    async def get(self, kind: type[N], id_: str) -> N | None:
        """Return the noun with this id."""
        return cast(N | None, self._tables[kind].get(id_))

    async def find(self, kind: type[N], page: Page | None = None, /, **equal: str) -> list[N]:
        """Return nouns whose fields equal the values given, in the order of their creation.

        Raises ValueError for a filter the kind does not have, and an INVALID fault when the row
        the page starts after is gone, or not one of those that are asked for.
        """
        check_filters(equal, filters(kind))
        table = cast(dict[str, N], self._tables[kind])
        found = [noun for noun in table.values() if _matches(noun, equal)]
        if page is None:
            return found
        if page.after is not None:
            start = table.get(page.after)
            if start is None or not _matches(start, equal):
                raise lost_page(SHAPES[kind].word, page.after)
            place = {id_: number for number, id_ in enumerate(table)}
            found = [noun for noun in found if place[noun.id] > place[page.after]]
        return found[: page.limit]

    async def put(self, *nouns: Noun) -> None:
        """Insert or replace. Raises a CONFLICT fault when a unique field is taken.

        After a fault the transaction can only be rolled back.
        """
        for noun in nouns:
            self._require_unique(noun)
            self._writable(type(noun))[noun.id] = noun
            self._note(noun)

    async def remove(self, *nouns: Noun) -> None:
        """Delete; what is not there is gone already."""
        for noun in nouns:
            self._writable(type(noun)).pop(noun.id, None)
            self._note(noun)

    async def lock(self, name: str) -> None:
        """Do nothing: transactions run one after the other."""

    async def emit(self, *events: Event) -> None:
        """Append events; whoever watches is told when the transaction ends."""
        services = cast(dict[str, Service], self._tables[Service])
        for event in events:
            service = services.get(event.service)
            numbered = replace(event, sequence=len(self._events) + 1)
            self._events.append((numbered, service.organization if service else None))
            self.spoken_of[event.deployment] = None

    async def events(
        self,
        after: int,
        limit: int,
        newest: bool = False,
        during: tuple[datetime, datetime] | None = None,
        among: Collection[str] | None = None,
        **equal: str,
    ) -> list[Event]:
        """Return at most ``limit`` events with numbers above ``after``, in order.

        With ``newest`` the last ones instead of the first ones, with ``among`` those of these
        deployments. Raises ValueError for an unknown filter.
        """
        check_filters(equal, EVENT_FIELDS)
        found = [
            event
            for event, organization in filter(None, self._events[after:])
            if _told(event, organization, equal)
            and (during is None or during[0] <= event.at < during[1])
            and (among is None or event.deployment in among)
        ]
        return found[max(0, len(found) - limit) :] if newest else found[:limit]

    async def forget(self, before: datetime, limit: int) -> int:
        """Delete at most so many events of before a time; return how many it were."""
        old = ((n, told) for n, told in enumerate(self._events) if told and told[0].at < before)
        found = dict(islice(old, limit))
        for number in found:
            self._events[number] = None
        self._forgotten |= found
        return len(found)

    def settle(self) -> None:
        """Raise what broke the transaction, if its owner caught that and went on."""
        if self._broken is not None:
            raise self._broken

    def undo(self) -> None:
        """Put everything back as it was."""
        self._tables.update(self._before)
        self.tallies.undo()
        self.trail.undo()
        for number, told in self._forgotten.items():
            self._events[number] = told
        del self._events[self._events_before :]
        self.changed.clear()
        self.spoken_of.clear()

    def _writable(self, kind: type[Noun]) -> _Table:
        if kind not in self._before:
            self._before[kind] = self._tables[kind]
            self._tables[kind] = dict(self._tables[kind])
        return self._tables[kind]

    def _require_unique(self, noun: Noun) -> None:
        """Look at other nouns only for unique fields that are new: mostly there are none."""
        shape, table = SHAPES[type(noun)], self._tables[type(noun)]
        old = table.get(noun.id)
        for unique in shape.unique:
            mine = [getattr(noun, name) for name in unique.fields]
            if old is not None and mine == [getattr(old, name) for name in unique.fields]:
                continue
            for other in _others(table, noun):
                if mine == [getattr(other, name) for name in unique.fields]:
                    self._broken = unique.fault(shape.word, noun)
                    raise self._broken

    def _note(self, noun: Noun) -> None:
        if isinstance(noun, Deployment):
            self.changed[noun.id] = None


class _Watcher:
    """The ids one watcher has not seen yet: each once, and not too many of them."""

    def __init__(self, events: bool) -> None:
        self.events = events
        self._pending: dict[str, None] = {EVERYTHING: None}
        self._some = asyncio.Event()
        self._some.set()

    def tell(self, ids: dict[str, None]) -> None:
        self._pending |= ids
        if len(self._pending) > _BACKLOG:
            self._pending = {EVERYTHING: None}
        if self._pending:
            self._some.set()

    async def next(self) -> str:
        await self._some.wait()
        id_ = next(iter(self._pending))
        del self._pending[id_]
        if not self._pending:
            self._some.clear()
        return id_


def _others(table: _Table, noun: Noun) -> Iterator[Noun]:
    return (held for held in table.values() if held.id != noun.id)


def _matches(noun: Noun, equal: dict[str, str]) -> bool:
    held = columns(noun)
    return all(held[name] == value for name, value in equal.items())


def _told(event: Event, organization: str | None, equal: dict[str, str]) -> bool:
    return all(
        (organization if name == "organization" else getattr(event, name)) == value
        for name, value in equal.items()
    )
