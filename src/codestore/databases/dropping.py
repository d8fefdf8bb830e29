"""Drops a role, whatever other roles gave to it.

Everybody can read the names of all roles, so the owner of a database can grant something in it to
any of them, and PostgreSQL keeps a role to which anything is granted anywhere.
"""

from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from codestore.databases.connections import Connection, connect
from codestore.domain.secret import Secret

_PLACES = """
SELECT DISTINCT d.datname, pg_get_userbyid(d.datdba)
  FROM pg_shdepend s
  JOIN pg_roles r ON s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid
  JOIN pg_database d ON d.oid = s.dbid
 WHERE r.rolname = %s
"""


async def drop_role(connection: Connection, admin: Secret, name: str) -> None:
    """Drop a role that owns no database, if it is there; ``admin`` is the connection's URL.

    What it made in other databases goes to their owners.
    """
    role = sql.Identifier(name)
    drop = sql.SQL("DROP ROLE IF EXISTS {}").format(role)
    try:
        await connection.execute(drop)
    except errors.DependentObjectsStillExist:
        cursor = await connection.execute(_PLACES, (name,))
        for database, owner in await cursor.fetchall():
            url = Secret(make_conninfo(admin.reveal(), dbname=database))
            async with await connect(url) as there:
                heir = sql.Identifier(owner)
                await there.execute(sql.SQL("REASSIGN OWNED BY {} TO {}").format(role, heir))
                await there.execute(sql.SQL("DROP OWNED BY {}").format(role))
        await connection.execute(sql.SQL("DROP OWNED BY {}").format(role))  # shared objects
        await connection.execute(drop)
