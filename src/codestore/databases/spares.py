"""Databases made in advance, so that nobody waits for one: taking it is a rename.

A spare is an empty database that belongs to the administrator and that nobody may connect to.
``CREATE DATABASE`` copies files and takes a tenth of a second or more; giving a spare a name and
an owner takes two milliseconds, and is one transaction: done, or not begun.
"""

import secrets

from psycopg import sql

from codestore.databases.connections import Connection

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('codestore spares', 0))"
_SPARES = """
SELECT datname FROM pg_database
 WHERE datname ~ '^spare_[0-9a-f]{12}$' AND datdba = current_user::regrole
   AND NOT datallowconn AND datconnlimit <> -2
   AND NOT has_database_privilege('public', oid, 'CONNECT')
 ORDER BY oid
"""
_HALF = """
SELECT datname FROM pg_database
 WHERE datname ~ '^spare_[0-9a-f]{12}$' AND datdba = current_user::regrole
   AND NOT datallowconn AND datconnlimit <> -2
   AND has_database_privilege('public', oid, 'CONNECT')
"""
_CREATE = sql.SQL("CREATE DATABASE {} TEMPLATE template0 STRATEGY wal_log ALLOW_CONNECTIONS false")
_SHUT = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC")
_OWN = sql.SQL("ALTER DATABASE {} OWNER TO {}")
_NAME = sql.SQL("ALTER DATABASE {} RENAME TO {}")
_OPEN = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true")


async def take(connection: Connection, name: str) -> bool:
    """Make a spare the database of the role ``name``, open to it; tell whether there was one."""
    owner = database = sql.Identifier(name)
    async with connection.transaction():
        await connection.execute(_LOCK)  # two at once must not choose the same
        found = await _spares(connection)
        if not found:
            return False
        spare = sql.Identifier(found[0])
        await connection.execute(_OWN.format(spare, owner))
        await connection.execute(_NAME.format(spare, database))
        await connection.execute(_OPEN.format(database))
    return True


async def stock(connection: Connection, count: int) -> None:
    """Make spares until there are ``count``, and finish those that were cut short."""
    cursor = await connection.execute(_HALF)
    for (name,) in await cursor.fetchall():
        await connection.execute(_SHUT.format(sql.Identifier(name)))
    for _ in range(count - len(await _spares(connection))):
        spare = sql.Identifier(f"spare_{secrets.token_hex(6)}")
        await connection.execute(_CREATE.format(spare))
        await connection.execute(_SHUT.format(spare))


async def _spares(connection: Connection) -> list[str]:
    cursor = await connection.execute(_SPARES)
    return [name for (name,) in await cursor.fetchall()]
