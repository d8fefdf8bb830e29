"""What is there under a name: a role, a database, both, or halves of them."""

from dataclasses import dataclass

from psycopg.rows import class_row

from codestore.databases.connections import Connection

# The mark is on the role, not on the database: the role is made and marked in one transaction,
# and a service, which owns its database, could take a mark off that.
MARK = "codestore"
SECOND_MARK = "codestore-second"
"""What stands before a colon and the number of the login (see ``logins``)."""


def role_of(name: str, number: int) -> str:
    """Return the role of a login: even numbers are the owner itself, odd ones a second role."""
    return f"{name}_b" if number % 2 else name


_LOOK = """
SELECT r.oid IS NOT NULL AS role,
       coalesce(split_part(shobj_description(r.oid, 'pg_authid'), ':', 1) = %(mark)s, false)
         AS ours,
       coalesce(r.rolcanlogin, false) OR EXISTS (
         SELECT FROM pg_roles b WHERE b.rolname = %(second)s AND b.rolcanlogin
            AND split_part(shobj_description(b.oid, 'pg_authid'), ':', 1) = %(second_mark)s
       ) AS login,
       d.oid IS NOT NULL AS database,
       coalesce(d.datdba = r.oid, false) AS owned,
       coalesce(d.datconnlimit = -2, false) AS torn,
       coalesce(NOT d.datallowconn, false) AS locked,
       coalesce(has_database_privilege('public', d.oid, 'CONNECT'), false) AS public
  FROM (SELECT %(name)s::text AS name) AS wanted
  LEFT JOIN pg_roles r ON r.rolname = wanted.name
  LEFT JOIN pg_database d ON d.datname = wanted.name
"""
_NAMES = """
SELECT rolname FROM pg_roles
 WHERE split_part(shobj_description(oid, 'pg_authid'), ':', 1) = %s ORDER BY rolname
"""
_PUBLIC = """
SELECT datname FROM pg_database
 WHERE datallowconn AND has_database_privilege('public', oid, 'CONNECT')
"""


@dataclass(frozen=True, slots=True)
class Found:
    """The state of one name on the server.

    ``ours``: the role has the platform's mark. ``torn``: a drop of the database was interrupted,
    nothing but dropping it works. ``locked``: nobody may connect yet. ``public``: every role may.
    """

    role: bool
    ours: bool
    login: bool
    database: bool
    owned: bool
    torn: bool
    locked: bool
    public: bool

    @property
    def whole(self) -> bool:
        """Whether the role and its database are there and only that role may connect."""
        there = self.ours and self.login and self.owned
        return there and not (self.torn or self.locked or self.public)

    @property
    def foreign(self) -> bool:
        """Whether somebody else has made something of this name."""
        return (self.role and not self.ours) or (self.database and not (self.owned and self.ours))


async def look(connection: Connection, name: str) -> Found:
    """Return what is there under a name."""
    async with connection.cursor(row_factory=class_row(Found)) as cursor:
        second = {"second": role_of(name, 1), "second_mark": SECOND_MARK}
        await cursor.execute(_LOOK, {"name": name, "mark": MARK, **second})
        found = await cursor.fetchone()
    assert found is not None  # the wanted name is a row of its own
    return found


async def ours(connection: Connection) -> list[str]:
    """Return every name the platform has made something of, half-made ones too."""
    cursor = await connection.execute(_NAMES, (MARK,))
    return [name for (name,) in await cursor.fetchall()]


async def public(connection: Connection) -> list[str]:
    """Return the databases to which every role may connect."""
    cursor = await connection.execute(_PUBLIC)
    return [name for (name,) in await cursor.fetchall()]
