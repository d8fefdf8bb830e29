"""A server that goes away and comes back."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable
from dataclasses import replace

import psycopg

from codestore.databases.postgres import PostgresDatabases
from codestore.domain.faults import FaultKind
from codestore.domain.secret import Secret
from tests.databases.clients import PASSWORD, login, refused, value
from tests.support.postgres import RunningServer


async def unavailable(*attempts: Awaitable[object]) -> None:
    for attempt in attempts:
        with refused("database_unavailable") as raised:
            await attempt
        assert raised.value.letter.kind is FaultKind.UNAVAILABLE


async def test_the_server_may_go_away_and_come_back(own_server: RunningServer) -> None:
    databases = PostgresDatabases(own_server.embedded.admin_url)
    await databases.create("notes", PASSWORD)
    await asyncio.gather(*(databases.names() for _ in range(4)))  # several connections stay idle
    own_server.stop()
    await unavailable(
        databases.observe("notes"), databases.create("more", PASSWORD), databases.drop("notes")
    )
    await asyncio.to_thread(own_server.start)
    assert await databases.observe("notes")
    await databases.create("more", PASSWORD)
    assert await databases.names() == ["more", "notes"]
    await asyncio.to_thread(own_server.stop, signal.SIGQUIT)  # in between: nobody has asked
    await asyncio.to_thread(own_server.start)
    assert await databases.observe("more")
    await databases.close()


async def test_a_killed_server_keeps_what_was_committed(own_server: RunningServer) -> None:
    databases = PostgresDatabases(own_server.embedded.admin_url)
    await databases.create("notes", PASSWORD)
    async with login(databases, "notes") as connection:
        await connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    await databases.close()
    own_server.stop(signal.SIGKILL)
    await own_server.embedded.prepare()  # as the control process does before each start
    await asyncio.to_thread(own_server.start)
    async with login(databases, "notes") as connection:
        assert await value(connection, "SELECT sum(n) FROM kept") == 500500


async def test_a_frozen_server_is_called_away_after_a_while(own_server: RunningServer) -> None:
    assert own_server.process
    os.kill(own_server.process.pid, signal.SIGSTOP)
    try:
        with refused("database_not_ready") as raised:
            await own_server.embedded.ready(0.1)
        assert raised.value.letter.kind is FaultKind.UNAVAILABLE
    finally:
        os.kill(own_server.process.pid, signal.SIGCONT)


async def test_another_master_key_is_told_at_once(postgres_server: RunningServer) -> None:
    other = replace(postgres_server.embedded, password=Secret("another"))
    begun = time.monotonic()
    with refused("database_password") as raised:
        await other.ready(60)
    assert raised.value.letter.kind is FaultKind.FAILED
    assert time.monotonic() - begun < 10


async def test_preparing_again_does_not_disturb_a_running_server(
    own_server: RunningServer,
) -> None:
    async with await psycopg.AsyncConnection.connect(
        own_server.embedded.admin_url.reveal()
    ) as connection:
        await own_server.embedded.prepare()
        assert await value(connection, "SELECT 7") == 7
    assert own_server.execute("SELECT 8") == [(8,)]
