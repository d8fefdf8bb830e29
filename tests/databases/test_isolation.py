"""A service meets nothing of the server but its own database."""

import psycopg
import pytest

from codestore.databases.postgres import PostgresDatabases
from codestore.domain.secret import Secret
from tests.databases.clients import PASSWORD, fresh, login, value
from tests.support.postgres import RunningServer


@pytest.mark.parametrize("server", ["postgres", "template1", "template0"])
async def test_a_service_cannot_connect_to_databases_of_the_server(
    databases: PostgresDatabases, server: str
) -> None:
    await databases.harden()
    name = fresh()
    await databases.create(name, PASSWORD)
    with pytest.raises(
        psycopg.OperationalError, match=r"permission denied|not currently accepting"
    ):
        async with login(databases, name, server):
            pass


async def test_a_service_cannot_connect_to_the_platform_nor_to_another_service(
    databases: PostgresDatabases,
) -> None:
    own, name, other = fresh(), fresh(), fresh()
    await databases.ensure(own)
    await databases.ensure(own)  # again: nothing
    await databases.create(name, PASSWORD)
    await databases.create(other, PASSWORD)
    for database in (own, other):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            async with login(databases, name, database):
                pass
    assert own not in await databases.names()


async def test_a_service_that_lets_everybody_in_is_not_whole_until_created_again(
    databases: PostgresDatabases,
) -> None:
    name, other = fresh(), fresh()
    await databases.create(name, PASSWORD)
    await databases.create(other, PASSWORD)
    async with login(databases, name) as connection:
        await connection.execute(f"GRANT CONNECT ON DATABASE {name} TO PUBLIC")
    assert not await databases.observe(name)
    await databases.create(name, PASSWORD)
    assert await databases.observe(name)
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        async with login(databases, other, name):
            pass


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE DATABASE more",
        "CREATE ROLE more",
        "ALTER ROLE {name} SUPERUSER",
        "ALTER ROLE {name} CONNECTION LIMIT 1000",
        "COMMENT ON ROLE {name} IS 'mine'",
        "ALTER DATABASE {name} RENAME TO other",
        "DROP ROLE {other}",
        "DROP DATABASE {other}",
        "SET ROLE {other}",
        "SET ROLE postgres",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT rolpassword FROM pg_authid",
        "ALTER SYSTEM SET log_statement = 'all'",
    ],
)
async def test_a_service_may_do_nothing_to_the_server(
    databases: PostgresDatabases, statement: str
) -> None:
    name, other = fresh(), fresh()
    await databases.create(name, PASSWORD)
    await databases.create(other, PASSWORD)
    async with login(databases, name) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement.format(name=name, other=other).encode())
    assert await databases.observe(name) and await databases.observe(other)


async def test_a_service_gets_only_so_many_connections_and_seconds(
    postgres_server: RunningServer,
) -> None:
    url = postgres_server.embedded.admin_url
    databases = PostgresDatabases(url, connections=1, statement_timeout=0.05)
    name = fresh()
    await databases.create(name, PASSWORD)
    async with login(databases, name) as connection:
        with pytest.raises(psycopg.errors.QueryCanceled):
            await connection.execute("SELECT pg_sleep(10)")
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            async with login(databases, name):
                pass
    await databases.close()


async def test_an_administrator_who_is_no_superuser_will_do(
    postgres_server: RunningServer,
) -> None:
    admin = fresh()
    postgres_server.execute(f"CREATE ROLE {admin} LOGIN CREATEDB CREATEROLE PASSWORD 'a'")
    postgres_server.execute(f"GRANT CONNECT ON DATABASE postgres TO {admin}")
    url = postgres_server.embedded.admin_url.reveal()
    path = url.partition("@")[2]
    databases = PostgresDatabases(Secret(f"postgresql://{admin}:a@{path}"))
    name, other = fresh(), fresh()
    await databases.harden()
    await databases.create(name, PASSWORD)
    await databases.create(other, PASSWORD)
    assert await databases.observe(name)
    async with login(databases, other) as neighbour:
        await neighbour.execute("CREATE TABLE notes (text text)")
        await neighbour.execute(f"GRANT SELECT ON notes TO {name}")
    async with login(databases, name) as connection:
        assert await value(connection, "SELECT current_user") == name
        await databases.drop(name)
    assert name not in await databases.names()
    await databases.close()
