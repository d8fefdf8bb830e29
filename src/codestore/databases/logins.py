"""The logins of a database's owner: by turns two roles, so that a password can be replaced.

PostgreSQL keeps one password per role. While instances change over, some have the old one and some
the new: so logins are numbered, even ones are the owner itself, odd ones a second role that is a
member of it and becomes it at the beginning of each session. Whatever it makes is the owner's, and
it can do what the owner can. Its comment says which number a role has the password of; a service
cannot change that.
"""

from collections.abc import Sequence

from psycopg import sql

from codestore.databases.connections import Connection
from codestore.databases.dropping import drop_role
from codestore.databases.looking import MARK, SECOND_MARK, role_of
from codestore.domain.environments import DatabaseLimits
from codestore.domain.faults import conflict
from codestore.domain.secret import Secret

_LOGINS = """
SELECT rolname, rolcanlogin, coalesce(shobj_description(oid, 'pg_authid'), '')
  FROM pg_roles WHERE rolname = ANY(%s)
"""
_MAKE = sql.SQL("CREATE ROLE {} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION")
_OPEN = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {} CONNECTION LIMIT {}")
_CLOSE = sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL")
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY(%s)"


async def open_numbers(connection: Connection, name: str) -> frozenset[int]:
    """Return the numbers of the logins that are open."""
    cursor = await connection.execute(_LOGINS, ([name, role_of(name, 1)],))
    return frozenset(
        _number(role == name, comment) for role, login, comment in await cursor.fetchall() if login
    )


async def open_login(
    connection: Connection, name: str, number: int, password: Secret, limits: DatabaseLimits
) -> None:
    """Open a login of an owner that is there, with this password, or set it back to that."""
    role = role_of(name, number)
    identifier, mark = sql.Identifier(role), MARK
    async with connection.transaction():
        if role != name:
            await _make_second(connection, name, role)
            mark = SECOND_MARK
        await connection.execute(
            sql.SQL("COMMENT ON ROLE {} IS {}").format(
                identifier, sql.Literal(f"{mark}:{number}" if number else mark)
            )
        )
        await connection.execute(
            _OPEN.format(
                identifier,
                sql.Literal(_verifier(connection, role, password)),
                limits.connections,
            )
        )
        await connection.execute(
            sql.SQL("ALTER ROLE {} SET statement_timeout = {}").format(
                identifier, sql.Literal(f"{limits.statement * 1000:.0f}ms")
            )
        )


async def close_others(connection: Connection, name: str, number: int) -> None:
    """Close the login that has another number, and end what is connected by it."""
    kept = role_of(name, number)
    cursor = await connection.execute(_LOGINS, ([name, role_of(name, 1)],))
    roles = [role for role, login, _ in await cursor.fetchall() if login and role != kept]
    for role in roles:
        await connection.execute(_CLOSE.format(sql.Identifier(role)))
    await connection.execute(_END, (roles,))


async def make_owner(connection: Connection, name: str) -> None:
    """Make the owner's role, marked as the platform's; it cannot log in yet."""
    async with connection.transaction():
        await _make(connection, name)
        await connection.execute(
            sql.SQL("COMMENT ON ROLE {} IS {}").format(sql.Identifier(name), sql.Literal(MARK))
        )


async def drop_second(connection: Connection, admin: Secret, name: str) -> None:
    """Drop the second role, if it is ours; its database is gone. ``admin``: see ``drop_role``."""
    role = role_of(name, 1)
    if _is_ours(await _comments(connection, role)):
        await drop_role(connection, admin, role)


async def _make(connection: Connection, role: str) -> None:
    identifier = sql.Identifier(role)
    await connection.execute(_MAKE.format(identifier))
    # An administrator who is no superuser may give a database to its own roles only, and end
    # sessions of those alone.
    await connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(identifier))


async def _make_second(connection: Connection, name: str, role: str) -> None:
    identifier, owner = sql.Identifier(role), sql.Identifier(name)
    comments = await _comments(connection, role)
    if not comments:
        await _make(connection, role)
    elif not _is_ours(comments):
        raise conflict(
            "database_taken",
            "The name is taken on the database server",
            f"The server has a role {role!r} which the platform did not make.",
            "Rename it there, or point the platform at a server of its own.",
        )
    await connection.execute(sql.SQL("GRANT {} TO {}").format(owner, identifier))
    await connection.execute(
        sql.SQL("ALTER ROLE {} SET role = {}").format(identifier, sql.Literal(name))
    )


async def _comments(connection: Connection, role: str) -> Sequence[str]:
    cursor = await connection.execute(_LOGINS, ([role],))
    return [comment for _, _, comment in await cursor.fetchall()]


def _is_ours(comments: Sequence[str]) -> bool:
    return any(comment.partition(":")[0] == SECOND_MARK for comment in comments)


def _number(first: bool, comment: str) -> int:
    text = comment.partition(":")[2]
    return int(text) if text.isdecimal() else 0 if first else 1


def _verifier(connection: Connection, role: str, password: Secret) -> str:
    """Return what the server stores; the password itself never reaches it, nor its log."""
    word, user = password.reveal().encode(), role.encode()
    return connection.pgconn.encrypt_password(word, user, b"scram-sha-256").decode()
