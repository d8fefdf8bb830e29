"""What people changed, on PostgreSQL: a row per entry, which a trigger keeps as it is."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import CursorResult, Executable, func, insert, select

from codestore.domain.audit import Entry
from codestore.store import locks
from codestore.store.codec import decode, encode
from codestore.store.tables import AUDIT

Run = Callable[[Executable, Sequence[Mapping[str, Any]] | None], Awaitable[CursorResult[Any]]]


class PostgresTrail:
    """Implements the Trail door; ``run`` executes a statement in the transaction."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def last(self, organization: str) -> Entry | None:
        """Return the newest entry, and hold a lock: two who append at once would fork the chain."""
        mine = locks.named(f"audit/{organization}")
        await self._run(select(func.pg_advisory_xact_lock(mine)), None)
        found = await self.entries(organization, 0, 1, newest=True)
        return found[0] if found else None

    async def append(self, entry: Entry) -> None:
        """Append an entry."""
        row = {
            "organization": entry.organization,
            "sequence": entry.sequence,
            "data": encode(entry),
        }
        await self._run(insert(AUDIT).values(row), None)

    async def entries(
        self, organization: str, after: int, limit: int, newest: bool = False
    ) -> list[Entry]:
        """Return at most ``limit`` entries with numbers above ``after``, in order."""
        order = AUDIT.c.sequence.desc() if newest else AUDIT.c.sequence
        query = select(AUDIT.c.data).where(AUDIT.c.organization == organization)
        query = query.where(AUDIT.c.sequence > after).order_by(order).limit(limit)
        found = [decode(Entry, row.data) for row in await self._run(query, None)]
        return found[::-1] if newest else found
