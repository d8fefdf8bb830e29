"""One database and one role of the same name, however often and in whatever state one begins."""

import asyncio

import psycopg
import pytest

from codestore.databases.postgres import PostgresDatabases
from codestore.domain.faults import FaultKind
from codestore.domain.secret import Secret
from tests.databases.clients import PASSWORD, fresh, login, refused, value
from tests.support.postgres import RunningServer

HALVES = {
    "a marked role": ["CREATE ROLE {} NOLOGIN", "COMMENT ON ROLE {} IS 'codestore'"],
    "a role that may log in": ["CREATE ROLE {} LOGIN", "COMMENT ON ROLE {} IS 'codestore'"],
    "a database that is still shut": [
        "CREATE ROLE {} LOGIN",
        "COMMENT ON ROLE {} IS 'codestore'",
        "CREATE DATABASE {0} OWNER {0} TEMPLATE template0 ALLOW_CONNECTIONS false",
    ],
    "a database shut by its owner": [
        "CREATE ROLE {} LOGIN",
        "COMMENT ON ROLE {} IS 'codestore'",
        "CREATE DATABASE {0} OWNER {0} TEMPLATE template0",
        "REVOKE ALL ON DATABASE {} FROM PUBLIC",
        "ALTER DATABASE {} ALLOW_CONNECTIONS false",
    ],
    "a database open to all": [
        "CREATE ROLE {} LOGIN",
        "COMMENT ON ROLE {} IS 'codestore'",
        "CREATE DATABASE {0} OWNER {0} TEMPLATE template0",
    ],
    "a database whose drop was interrupted": [
        "CREATE ROLE {} LOGIN",
        "COMMENT ON ROLE {} IS 'codestore'",
        "CREATE DATABASE {0} OWNER {0} TEMPLATE template0",
        "UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{}'",
    ],
}
FOREIGN = {
    "a role": ["CREATE ROLE {} LOGIN"],
    "a role with its database": ["CREATE ROLE {}", "CREATE DATABASE {0} OWNER {0}"],
    "a database without a role": ["CREATE DATABASE {}"],
    "a database of somebody else beside our role": [
        "CREATE ROLE {} LOGIN",
        "COMMENT ON ROLE {} IS 'codestore'",
        "CREATE DATABASE {}",
    ],
}


def run(server: RunningServer, statements: list[str], name: str) -> None:
    for statement in statements:
        server.execute(statement.format(name))


async def test_a_service_owns_the_database_that_was_created_for_it(
    databases: PostgresDatabases,
) -> None:
    name = fresh()
    assert not await databases.observe(name)
    await databases.create(name, PASSWORD)
    assert await databases.observe(name)
    assert name in await databases.names()
    async with login(databases, name) as connection:
        await connection.execute("CREATE TABLE notes (text text)")
        await connection.execute("CREATE SCHEMA more")
        assert await value(connection, "SHOW statement_timeout") == "5min"
        assert await value(connection, "SHOW server_encoding") == "UTF8"


async def test_creating_again_keeps_the_data_and_sets_the_password(
    databases: PostgresDatabases,
) -> None:
    name = fresh()
    await databases.create(name, PASSWORD)
    async with login(databases, name) as connection:
        await connection.execute("CREATE TABLE notes AS SELECT 7 AS kept")
    other = Secret("another")
    await databases.create(name, other)
    async with login(databases, name, password=other) as connection:
        assert await value(connection, "SELECT kept FROM notes") == 7
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        async with login(databases, name):
            pass


async def test_a_password_that_the_service_changed_is_set_back(
    databases: PostgresDatabases,
) -> None:
    name = fresh()
    await databases.create(name, PASSWORD)
    async with login(databases, name) as connection:
        await connection.execute(f"ALTER ROLE {name} PASSWORD 'mine'")
    await databases.create(name, PASSWORD)
    async with login(databases, name):
        pass


@pytest.mark.parametrize("half", HALVES)
async def test_what_is_half_there_is_finished(
    databases: PostgresDatabases, postgres_server: RunningServer, half: str
) -> None:
    name = fresh()
    run(postgres_server, HALVES[half], name)
    assert not await databases.observe(name)
    assert name in await databases.names()
    await databases.create(name, PASSWORD)
    assert await databases.observe(name)
    async with login(databases, name) as connection:
        assert await value(connection, "SELECT current_user") == name


@pytest.mark.parametrize("foreign", FOREIGN)
async def test_what_somebody_else_made_is_not_touched(
    databases: PostgresDatabases, postgres_server: RunningServer, foreign: str
) -> None:
    name = fresh()
    run(postgres_server, FOREIGN[foreign], name)
    for attempt in (databases.create(name, PASSWORD), databases.drop(name)):
        with refused("database_taken") as raised:
            await attempt
        assert raised.value.letter.kind is FaultKind.CONFLICT
    assert not await databases.observe(name)


async def test_many_are_created_at_once_and_one_by_many(databases: PostgresDatabases) -> None:
    names = [fresh() for _ in range(8)]
    same = fresh()
    creations = [*names, *[same] * 4]
    await asyncio.gather(*(databases.create(name, PASSWORD) for name in creations))
    for name in (*names, same):
        async with login(databases, name) as connection:
            assert await value(connection, "SELECT current_database()") == name
    assert {*names, same} <= set(await databases.names())


async def test_a_creation_that_was_cancelled_can_be_finished(
    databases: PostgresDatabases,
) -> None:
    name = fresh()
    for steps in (1, 2, 4, 8, 16):
        creating = asyncio.create_task(databases.create(name, PASSWORD))
        for _ in range(steps):
            await asyncio.sleep(0)
        creating.cancel()
        await asyncio.wait([creating])
    await databases.create(name, PASSWORD)
    assert await databases.observe(name)


@pytest.mark.parametrize(
    "name",
    ["", "A", "1a", "_a", "a-b", "a b", 'a"; DROP ROLE postgres; --', "a\0", "ä", "a\n", "a" * 64],
)
async def test_a_name_that_is_more_than_a_name_is_refused(
    databases: PostgresDatabases, name: str
) -> None:
    for attempt in (
        databases.observe(name),
        databases.create(name, PASSWORD),
        databases.drop(name),
        databases.ensure(name),
    ):
        with refused("bad_database_name"):
            await attempt
    with refused("bad_database_name"):
        databases.settings(name, PASSWORD)


@pytest.mark.parametrize("name", ["postgres", "template0", "template1", "public", "user"])
async def test_names_of_the_server_itself_are_refused_or_quoted(
    databases: PostgresDatabases, name: str
) -> None:
    taken = name in ("postgres", "template0", "template1")
    if taken:
        with refused("database_taken"):
            await databases.create(name, PASSWORD)
        with refused("database_taken"):
            await databases.drop(name)
    elif name == "public":
        with refused("database_refused"):
            await databases.create(name, PASSWORD)
    else:
        await databases.create(name, PASSWORD)
        await databases.drop(name)
