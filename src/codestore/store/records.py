"""One transaction on PostgreSQL: nouns and events as statements.

Events and notifications are kept back until the transaction ends (:meth:`settle`), for two
reasons. Numbers of events are handed out under a lock that is held to the commit: a reader who has
seen number 8 never finds a 7 later. Taken last, the lock is held for a moment only, and nothing is
waited for while it is held, so it cannot be part of a deadlock.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import CursorResult, Executable, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from codestore.domain.deployments import Deployment
from codestore.domain.events import Event
from codestore.ports import N, Noun, Page
from codestore.store import locks
from codestore.store.codec import decode
from codestore.store.errors import translated
from codestore.store.shapes import EVENT_FIELDS, SHAPES, check_filters, filters, lost_page
from codestore.store.statements import (
    INSERT_EVENT,
    LOCK_EVENTS,
    TELL,
    UPSERT,
    by,
    event_row,
    news,
    row_of,
    storable,
    taken,
    texts,
)
from codestore.store.tables import EVENTS, TABLES
from codestore.store.tallies import PostgresTallies
from codestore.store.trail import PostgresTrail

Rows = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class PostgresRecords:
    """Implements the Records door on a connection that is in a transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._events: list[Event] = []
        self._changed: dict[str, None] = {}
        self._spoken_of: dict[str, None] = {}
        self._broken: BaseException | None = None
        self.tallies = PostgresTallies(self._run)
        self.trail = PostgresTrail(self._run)

    async def get(self, kind: type[N], id_: str) -> N | None:
        """Return the noun with this id.

        A deployment's row is locked until the transaction ends: what is read of it is changed and
        put back whole, so two who change it at once must come one after the other.
        """
        if not storable(id_):
            return None
        query = by(TABLES[kind], "id")
        locking = query.with_for_update() if kind is Deployment else query
        row = (await self._run(locking, {"id": id_})).first()
        return None if row is None else decode(kind, row.data)

    async def find(self, kind: type[N], page: Page | None = None, /, **equal: str) -> list[N]:
        """Return nouns whose columns equal the values given, in the order of their creation.

        Raises ValueError for a filter the kind does not have, and an INVALID fault when the row
        the page starts after is gone, or not one of those that are asked for.
        """
        check_filters(equal, filters(kind))
        if not all(map(storable, equal.values())):
            return []
        query = by(TABLES[kind], *equal)
        if page is not None:
            query = query.limit(page.limit)
            if page.after is not None:
                start = await self._sequence(kind, page.after, equal)
                query = query.where(TABLES[kind].c.sequence > start)
        return [decode(kind, row.data) for row in await self._run(query, equal)]

    async def put(self, *nouns: Noun) -> None:
        """Insert or replace. Raises a CONFLICT fault when a unique field is taken.

        After a fault the transaction can only be rolled back.
        """
        for noun in nouns:
            try:
                await self._run(UPSERT[type(noun)], row_of(noun))
            except IntegrityError as error:
                self._broken = taken(noun, error)
                raise self._broken from error
            self._note(noun)

    async def remove(self, *nouns: Noun) -> None:
        """Delete; what is not there is gone already."""
        for noun in nouns:
            table = TABLES[type(noun)]
            await self._run(delete(table).where(table.c.id == noun.id))
            self._note(noun)

    async def lock(self, name: str) -> None:
        """Wait until nobody else holds the lock of this name; hold it until the end."""
        await self._run(select(func.pg_advisory_xact_lock(locks.named(name))))

    async def emit(self, *events: Event) -> None:
        """Append events; they are numbered and told of when the transaction commits."""
        self._events += events
        self._spoken_of.update((event.deployment, None) for event in events)

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
        deployments. Those emitted in this transaction count. Raises ValueError for an unknown
        filter.
        """
        check_filters(equal, EVENT_FIELDS)
        if not all(map(storable, equal.values())):
            return []
        await self._append()
        order = EVENTS.c.sequence.desc() if newest else EVENTS.c.sequence
        query = select(EVENTS.c.sequence, EVENTS.c.data).where(EVENTS.c.sequence > after)
        query = query.where(*(EVENTS.c[name] == value for name, value in equal.items()))
        if during is not None:
            query = query.where(EVENTS.c.at >= during[0], EVENTS.c.at < during[1])
        if among is not None:
            query = query.where(EVENTS.c.deployment == func.any(texts(among)))
        rows = await self._run(query.order_by(order).limit(limit))
        found = [replace(decode(Event, row.data), sequence=row.sequence) for row in rows]
        return found[::-1] if newest else found

    async def forget(self, before: datetime, limit: int) -> int:
        """Delete at most so many events of before a time; return how many it were."""
        old = select(EVENTS.c.sequence).where(EVENTS.c.at < before).limit(limit)
        return (await self._run(delete(EVENTS).where(EVENTS.c.sequence.in_(old)))).rowcount

    async def settle(self) -> None:
        """Write what was kept back; the last thing before the commit.

        Raises what broke the transaction, if its owner caught that and went on: PostgreSQL would
        answer the commit by a silent rollback.
        """
        if self._broken is not None:
            raise self._broken
        await self._append()
        if self._changed or self._spoken_of:
            await self._run(TELL, news(self._changed, self._spoken_of))

    async def _append(self) -> None:
        if self._events:
            events, self._events = self._events, []
            await self._run(LOCK_EVENTS)
            await self._run(INSERT_EVENT, [event_row(event) for event in events])

    async def _sequence(self, kind: type[N], id_: str, equal: Mapping[str, str]) -> int:
        table = TABLES[kind]
        query = select(table.c.sequence).where(table.c.id == id_)
        query = query.where(*(table.c[name] == value for name, value in equal.items()))
        row = (await self._run(query)).first() if storable(id_) else None
        if row is None:
            raise lost_page(SHAPES[kind].word, id_)
        sequence: int = row.sequence
        return sequence

    def _note(self, noun: Noun) -> None:
        if isinstance(noun, Deployment):
            self._changed[noun.id] = None

    async def _run(self, statement: Executable, rows: Rows | None = None) -> CursorResult[Any]:
        try:
            with translated():
                return await self._connection.execute(statement, rows)
        except BaseException as error:  # cancelled in the middle of a statement counts too
            self._broken = error
            raise
