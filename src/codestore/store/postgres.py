"""The platform's memory on PostgreSQL: transactions, watching, leading."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from codestore.domain.secret import Secret
from codestore.ports import Records
from codestore.store.connections import make_engine
from codestore.store.errors import translated
from codestore.store.leading import Leadership
from codestore.store.records import PostgresRecords
from codestore.store.schema import bring_up_to_date
from codestore.store.tables import CHANGES, NEWS
from codestore.store.watching import watch


class PostgresStore:
    """Implements the Store door. Made by :meth:`open`; belongs to one event loop."""

    def __init__(self, url: Secret, engine: AsyncEngine) -> None:
        self._url = url
        self._engine = engine
        self._leadership = Leadership(url)

    @classmethod
    async def open(cls, url: Secret) -> "PostgresStore":
        """Open the database at ``url`` (``postgresql://…``) and bring its tables up to date.

        Raises an UNAVAILABLE fault when the server does not answer, and a FAILED one when the
        tables are of a newer codestore.
        """
        engine = make_engine(url)
        try:
            await bring_up_to_date(engine, url)
        except BaseException:
            await engine.dispose()
            raise
        return cls(url, engine)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Records]:
        """Open a transaction: committed at the end of the block, rolled back by an exception.

        Raises an UNAVAILABLE fault when the server is lost or too busy, in the block or at the
        commit; in the latter case it may have been committed.
        """
        with translated():
            async with self._engine.begin() as connection:
                records = PostgresRecords(connection)
                yield records
                await records.settle()

    def watch(self, *, events: bool = True) -> AsyncIterator[str]:
        """Yield ``*`` once it listens, then the id of each deployment that changed.

        Listening begins with the first item: who reads ``*`` and then looks at everything misses
        nothing. ``*`` comes again after each lost connection.
        """
        return watch(self._url, NEWS if events else CHANGES)

    async def lead(self) -> None:
        """Wait until this process is the only one that acts.

        It stays so while :attr:`leading`; after that, ask again before acting again.
        """
        await self._leadership.acquire()

    @property
    def leading(self) -> bool:
        """Whether this process leads; false once the connection that holds the lock is lost."""
        return self._leadership.held

    async def close(self) -> None:
        """Let go of connections, and of the lead."""
        await self._leadership.release()
        await self._engine.dispose()
