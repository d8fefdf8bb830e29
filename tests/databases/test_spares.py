"""A database that was made in advance is as good as one made on the spot."""

import asyncio
from contextlib import suppress

import psycopg
import pytest

from codestore.databases import postgres, spares
from codestore.databases.postgres import PostgresDatabases
from codestore.domain.secret import Secret
from tests.support.postgres import RunningServer

PASSWORD = Secret("a password")


def spares_of(server: RunningServer) -> list[str]:
    rows = server.execute(
        "SELECT datname FROM pg_database WHERE datname LIKE 'spare_%'"
        " AND NOT has_database_privilege('public', oid, 'CONNECT')"
    )
    return sorted(str(name) for (name,) in rows)


async def stocked(databases: PostgresDatabases, server: RunningServer, count: int) -> None:
    """Keep spares until there are so many."""
    keeping = asyncio.create_task(databases.keep_spares(count))
    async with asyncio.timeout(20):
        while len(await asyncio.to_thread(spares_of, server)) < count:
            await asyncio.sleep(0.02)  # nothing tells us what happens on the server
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "CALM", 0.0)


async def test_taking_more_than_there_are_gives_everybody_one(own_server: RunningServer) -> None:
    databases = PostgresDatabases(own_server.embedded.admin_url)
    await stocked(databases, own_server, 2)
    names = [f"taker_{number}" for number in range(4)]
    await asyncio.gather(*(databases.create(name, PASSWORD) for name in names))
    assert spares_of(own_server) == []
    for name in names:
        assert await databases.observe(name)
        url = databases.settings(name, PASSWORD)["DATABASE_URL"].reveal()
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE mine (id int)")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url, dbname=names[names.index(name) - 1])
    assert await databases.names() == names
    await databases.close()


async def test_a_spare_that_was_cut_short_is_finished(own_server: RunningServer) -> None:
    own_server.execute("CREATE DATABASE spare_0123456789ab ALLOW_CONNECTIONS false")
    assert spares_of(own_server) == []
    databases = PostgresDatabases(own_server.embedded.admin_url)
    await stocked(databases, own_server, 1)
    assert spares_of(own_server) == ["spare_0123456789ab"]
    await databases.close()


async def test_nobody_may_connect_to_a_spare(own_server: RunningServer) -> None:
    databases = PostgresDatabases(own_server.embedded.admin_url)
    await stocked(databases, own_server, 1)
    await databases.create("neighbour", PASSWORD)  # takes it
    await stocked(databases, own_server, 1)
    (spare,) = spares_of(own_server)
    url = databases.settings("neighbour", PASSWORD)["DATABASE_URL"].reveal()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, dbname=spare)
    assert await databases.names() == ["neighbour"]
    await databases.close()


async def test_a_taking_that_is_cut_short_takes_nothing(
    own_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases = PostgresDatabases(own_server.embedded.admin_url)
    await stocked(databases, own_server, 1)
    before = spares_of(own_server)
    monkeypatch.setattr(spares, "_OPEN", spares.sql.SQL("SELECT 1 / 0 -- {}"))
    with pytest.raises(Exception, match="division"):
        await databases.create("cut", PASSWORD)
    assert spares_of(own_server) == before
    monkeypatch.undo()
    await databases.create("cut", PASSWORD)
    assert await databases.observe("cut")
    await databases.close()
