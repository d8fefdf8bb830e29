"""Databases on a PostgreSQL server: one role and one database of the same name, kept apart.

The role may have a second one beside it while its password is replaced: see ``logins``.

Whoever calls may be killed between any two statements, so each step starts by looking. The role
comes first and goes last: as long as there is anything of a name, there is its marked role.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from psycopg import errors, sql

from codestore.databases import spares
from codestore.databases.address import Address
from codestore.databases.connections import Connection, Connections
from codestore.databases.dropping import drop_role
from codestore.databases.logins import (
    close_others,
    drop_second,
    make_owner,
    open_login,
    open_numbers,
)
from codestore.databases.looking import Found, look, ours, public, role_of
from codestore.domain.environments import DatabaseLimits
from codestore.domain.faults import Fault, conflict, invalid
from codestore.domain.secret import Secret

CALM = 2.0  # seconds after a database was taken until the stock is filled up
_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")  # two more for the second role

# WAL_LOG: the other strategy forces checkpoints, which cost every service on the server.
# template0: nobody can be connected to it, so any number of copies may be made at once.
# Nobody connects until the public has been shut out.
_CREATE = sql.SQL(
    "CREATE DATABASE {} {} TEMPLATE template0 STRATEGY wal_log ALLOW_CONNECTIONS false"
)
_SHUT = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC")
_OPEN = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true")
_DROP = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")


class PostgresDatabases:
    """The door to a server (version 15 or newer).

    ``admin`` is the URL of a superuser, or of a role with CREATEDB and CREATEROLE. A service gets
    at most ``connections`` at a time, and ``statement_timeout`` seconds for a statement unless it
    sets another itself. By default that is enough for eight instances beside the eight of the
    version before, with the usual pool of fifteen (SQLAlchemy's) in each.
    """

    def __init__(
        self, admin: Secret, connections: int = 240, statement_timeout: float = 300.0
    ) -> None:
        self._admin = admin
        self._connections = Connections(admin)
        self._address = Address.of(admin)
        self._limits = DatabaseLimits(connections, statement_timeout)
        self._taken = asyncio.Event()

    async def observe(self, name: str) -> bool:
        """Whether the database and its role are there, and only this role may connect."""
        found = await self._connections.run(lambda connection: look(connection, _checked(name)))
        return found.whole

    async def create(
        self, name: str, password: Secret, login: int = 0, limits: DatabaseLimits | None = None
    ) -> None:
        """Create both, or finish what is half there; the login gets the password given.

        Raises the CONFLICT fault ``database_taken`` when the name is somebody else's.
        """

        async def work(connection: Connection) -> None:
            async with _alone(connection, name):
                found = _own(name, await look(connection, name))
                if not found.role:
                    await make_owner(connection, name)
                await open_login(connection, name, login, password, limits or self._limits)
                if not found.database and await spares.take(connection, name):
                    self._taken.set()
                    return
                owner = sql.SQL("OWNER {}").format(sql.Identifier(name))
                await _make_database(connection, found, name, owner)

        _checked(name)
        await self._connections.run(work)

    async def drop(self, name: str) -> None:
        """Drop both, whoever is connected; what is not there is gone already.

        Raises the CONFLICT fault ``database_taken`` when the name is somebody else's.
        """

        async def work(connection: Connection) -> None:
            async with _alone(connection, name):
                _own(name, await look(connection, name))
                await connection.execute(_DROP.format(sql.Identifier(name)))
                await drop_second(connection, self._admin, name)
                await drop_role(connection, self._admin, name)

        _checked(name)
        await self._connections.run(work)

    async def logins(self, name: str) -> frozenset[int]:
        """Return the numbers of the logins that are open."""
        return await self._connections.run(
            lambda connection: open_numbers(connection, _checked(name))
        )

    async def open_login(
        self, name: str, password: Secret, login: int, limits: DatabaseLimits | None = None
    ) -> None:
        """Open one more login of a database that is there, or set its password back."""

        async def work(connection: Connection) -> None:
            async with _alone(connection, name):
                _own(name, await look(connection, name))
                await open_login(connection, name, login, password, limits or self._limits)

        _checked(name)
        await self._connections.run(work)

    async def close_logins(self, name: str, but: int) -> None:
        """Close every login but this one, and end what is connected by others."""

        async def work(connection: Connection) -> None:
            async with _alone(connection, name):
                _own(name, await look(connection, name))
                await close_others(connection, name, but)

        _checked(name)
        await self._connections.run(work)

    async def names(self) -> list[str]:
        """Return the names of all that :meth:`create` made, or began to make, in order."""
        return await self._connections.run(ours)

    def settings(self, name: str, password: Secret, login: int = 0) -> Mapping[str, Secret]:
        """Return the variables by which a service connects (``DATABASE_URL`` and its parts)."""
        role = role_of(_checked(name), login)
        return {
            "DATABASE_URL": self._address.url(role, password, name),
            "DATABASE_HOST": Secret(self._address.host),
            "DATABASE_PORT": Secret(self._address.port),
            "DATABASE_NAME": Secret(name),
            "DATABASE_USERNAME": Secret(role),
            "DATABASE_PASSWORD": password,
        }

    async def keep_spares(self, count: int = 4) -> None:
        """Keep databases in stock, until cancelled; made when nobody has asked for one just now."""
        while True:
            await asyncio.sleep(CALM)
            self._taken.clear()
            try:
                await self._connections.run(lambda connection: spares.stock(connection, count))
            except Fault:  # the server is away, or full: those who ask for a database are told
                continue
            await self._taken.wait()

    async def harden(self) -> None:
        """Shut the public out of every database, the server's own too.

        What the administrator of the URL does not own stays as it is.
        """

        async def work(connection: Connection) -> None:
            for name in await public(connection):
                with suppress(errors.InvalidCatalogName):  # dropped meanwhile
                    await connection.execute(_SHUT.format(sql.Identifier(name)))

        await self._connections.run(work)

    async def ensure(self, name: str) -> None:
        """Create a database of the platform's own if it is missing; the public is shut out."""

        async def work(connection: Connection) -> None:
            async with _alone(connection, name):
                found = await look(connection, name)
                await _make_database(connection, found, name, sql.SQL(""))

        _checked(name)
        await self._connections.run(work)

    async def close(self) -> None:
        """Let go of connections."""
        await self._connections.close()


async def _make_database(
    connection: Connection, found: Found, name: str, owner: sql.Composable
) -> None:
    database = sql.Identifier(name)
    if found.torn:
        await connection.execute(_DROP.format(database))
    if found.torn or not found.database:
        await connection.execute(_CREATE.format(database, owner))
    elif not (found.locked or found.public):
        return
    await connection.execute(_SHUT.format(database))
    await connection.execute(_OPEN.format(database))


@asynccontextmanager
async def _alone(connection: Connection, name: str) -> AsyncIterator[None]:
    """Keep everybody else off this name. When the block fails, so does the session: unlocked."""
    await connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (name,))
    yield
    await connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (name,))


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        detail = f"{name[:80]!r} is not 1 to 61 of a-z, 0-9 and _, beginning with a letter."
        raise invalid("bad_database_name", "Not a name for a database", detail)
    return name


def _own(name: str, found: Found) -> Found:
    if found.foreign:
        raise _taken(name)
    return found


def _taken(name: str) -> Fault:
    detail = f"The server has a role or database {name!r} which the platform did not make."
    hint = "Rename it there, or point the platform at a server of its own."
    return conflict("database_taken", "The name is taken on the database server", detail, hint)
