"""One leader: a session's advisory lock, on a connection of its own.

The server lets go of the lock when the connection ends, however that happens, and the next one
in line takes over at its next try.
"""

import asyncio
from typing import Any, Final

import psycopg
import structlog
from psycopg import AsyncConnection

from codestore.domain.secret import Secret
from codestore.store import locks
from codestore.store.connections import connect

_FIRST_WAIT: Final = 0.01
_LONGEST_WAIT: Final = 0.5
log = structlog.get_logger(__name__)


class Leadership:
    """The lock, and whether we still have it."""

    def __init__(self, url: Secret) -> None:
        self._url = url
        self._guard: asyncio.Task[None] | None = None

    @property
    def held(self) -> bool:
        """Whether the lock is ours; false as soon as its connection is known to be lost."""
        return self._guard is not None and not self._guard.done()

    async def acquire(self) -> None:
        """Wait until the lock is ours, through any number of lost servers; twice is once."""
        wait = _FIRST_WAIT
        while not self.held:
            try:
                connection = await self._try()
            except psycopg.OperationalError as error:
                log.warning("cannot ask to lead", reason=str(error).strip())
                connection = None
            if connection is not None:
                self._guard = asyncio.create_task(_stay(connection))
                return
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    async def release(self) -> None:
        """Let go of the lock, if it is ours."""
        if self._guard is not None:
            self._guard.cancel()
            await asyncio.wait([self._guard])
            self._guard = None

    async def _try(self) -> AsyncConnection[Any] | None:
        """Return the connection that holds the lock, or ``None`` when somebody else does."""
        connection = await connect(self._url)
        try:
            cursor = await connection.execute(
                "SELECT pg_try_advisory_lock(%s::bigint)", [locks.LEADER]
            )
            row = await cursor.fetchone()
        except BaseException:
            await connection.close()
            raise
        if row is not None and row[0]:
            return connection
        await connection.close()
        return None


async def _stay(connection: AsyncConnection[Any]) -> None:
    """Wait on a connection that nothing is ever sent over; end when it does."""
    async with connection:
        try:
            async for _ in connection.notifies():
                pass
        except psycopg.OperationalError as error:
            log.warning("leads no more", reason=str(error).strip())
