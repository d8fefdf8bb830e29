"""Dropping takes both away, whoever is connected and whatever others gave to the role."""

import asyncio

import psycopg
import pytest

from codestore.databases.postgres import PostgresDatabases
from tests.databases.clients import PASSWORD, fresh, login, value
from tests.support.postgres import RunningServer


async def test_a_dropped_database_is_gone_with_its_role_and_may_come_back_empty(
    databases: PostgresDatabases,
) -> None:
    name = fresh()
    await databases.create(name, PASSWORD)
    async with login(databases, name) as connection:
        await connection.execute("CREATE TABLE notes (text text)")
    await databases.drop(name)
    assert name not in await databases.names()
    assert not await databases.observe(name)
    with pytest.raises(psycopg.OperationalError):
        async with login(databases, name):
            pass
    await databases.drop(name)  # again: nothing
    await databases.create(name, PASSWORD)
    async with login(databases, name) as connection:
        assert await value(connection, "SELECT to_regclass('notes')") is None


async def test_connections_do_not_hold_up_a_drop(databases: PostgresDatabases) -> None:
    name = fresh()
    await databases.create(name, PASSWORD)
    async with login(databases, name) as idle, login(databases, name) as busy:
        await idle.execute("BEGIN; CREATE TABLE notes (text text)")
        sleeping = asyncio.create_task(busy.execute("SELECT pg_sleep(60)"))
        await databases.drop(name)
        with pytest.raises(psycopg.OperationalError):
            await sleeping
    assert not await databases.observe(name)


async def test_a_role_without_a_database_is_dropped(
    databases: PostgresDatabases, postgres_server: RunningServer
) -> None:
    name = fresh()
    postgres_server.execute(f"CREATE ROLE {name}")
    postgres_server.execute(f"COMMENT ON ROLE {name} IS 'codestore'")
    await databases.drop(name)
    assert postgres_server.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'") == []


async def test_what_a_neighbour_gave_to_a_role_does_not_keep_it_alive(
    databases: PostgresDatabases,
) -> None:
    name, neighbour = fresh(), fresh()
    await databases.create(name, PASSWORD)
    await databases.create(neighbour, PASSWORD)
    async with login(databases, neighbour) as connection:
        await connection.execute("CREATE TABLE notes AS SELECT 7 AS kept")
        await connection.execute(f"GRANT ALL ON DATABASE {neighbour} TO {name}")
        await connection.execute(f"GRANT ALL ON SCHEMA public TO {name}")
        await connection.execute(f"GRANT SELECT ON notes TO {name}")
        async with login(databases, name, neighbour) as guest:
            await guest.execute("CREATE TABLE guests AS SELECT 8 AS kept")
            await guest.execute(f"GRANT SELECT ON guests TO {neighbour}")
        await databases.drop(name)
        assert await value(connection, "SELECT notes.kept + guests.kept FROM notes, guests") == 15
    assert name not in await databases.names()


async def test_dropping_and_creating_at_once_ends_whole_or_gone(
    databases: PostgresDatabases,
) -> None:
    name = fresh()
    turns = [databases.create(name, PASSWORD), databases.drop(name)]
    turns += [databases.create(name, PASSWORD), databases.drop(name)]
    await asyncio.gather(*turns)
    there = name in await databases.names()
    assert await databases.observe(name) is there
