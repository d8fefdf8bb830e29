"""A few connections to the server, kept open: asking costs one round trip, not a login."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg

from codestore.domain.faults import Fault, failed, unavailable
from codestore.domain.secret import Secret

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
T = TypeVar("T")

_TURNS = 4  # connections at most; creating databases is disk work, more of it at once is slower
_CONNECT = 5  # seconds until a server that does not answer is called away
_PATIENCE = 60.0  # seconds for one piece of work on a connection


class Connections:
    """Runs pieces of work, each on a connection of its own, at most a few at a time."""

    def __init__(self, url: Secret) -> None:
        self._url = url
        self._turns = asyncio.Semaphore(_TURNS)
        self._idle: list[Connection] = []

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do the work, which must be safe to do again: a connection may have died while idle.

        Raises the UNAVAILABLE fault ``database_unavailable`` when the server cannot be asked now,
        the FAILED fault ``database_refused`` when it says no.
        """
        try:
            async with self._turns, asyncio.timeout(_PATIENCE):
                return await self._attempt(work)
        except TimeoutError:
            raise server_away(f"It did not finish within {_PATIENCE:.0f} s.") from None
        except psycopg.OperationalError as error:
            raise server_away(said(error)) from error
        except psycopg.Error as error:
            title = "The database server refused"
            raise failed("database_refused", title, said(error)) from error

    async def close(self) -> None:
        """Close what is idle; work under way closes nothing."""
        while self._idle:
            await self._idle.pop().close()

    async def _attempt(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        while self._idle:
            try:
                return await self._use(self._idle.pop(), work)
            except psycopg.OperationalError:
                continue  # what an old connection says about the server may be about itself
        return await self._use(await connect(self._url), work)

    async def _use(self, connection: Connection, work: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            result = await work(connection)
        except BaseException:
            await connection.close()  # also frees the locks its session holds
            raise
        self._idle.append(connection)
        return result


async def connect(url: Secret) -> Connection:
    """Open a connection that commits each statement."""
    return await psycopg.AsyncConnection.connect(
        url.reveal(), autocommit=True, connect_timeout=_CONNECT, application_name="codestore"
    )


def server_away(problem: str) -> Fault:
    """Build the fault for a server that cannot be asked now."""
    return unavailable(
        "database_unavailable",
        "The database server is away",
        problem,
        hint="It is tried again. The embedded server's log is logs/postgres.log.",
    )


def said(error: psycopg.Error) -> str:
    """Return the first line of what the server said: no statement, no values."""
    text = error.diag.message_primary or str(error)
    return text.strip().partition("\n")[0]
