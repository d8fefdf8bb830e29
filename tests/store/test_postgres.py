"""What only the store on PostgreSQL does: order under load, lost servers, leading, migrations."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from codestore.domain.deployments import Deployment
from codestore.domain.faults import Fault, FaultKind
from codestore.domain.secret import Secret
from codestore.domain.services import User
from codestore.store import schema
from codestore.store.connections import sqlalchemy_url
from codestore.store.migrations.upgrading import configuration
from codestore.store.postgres import PostgresStore
from codestore.store.tables import METADATA, SCHEMA
from tests.store import nouns
from tests.support.postgres import RunningServer

STATE = "codestore"


async def open_store(server: RunningServer, database: str = STATE) -> PostgresStore:
    url = await asyncio.to_thread(server.database, database)
    return await PostgresStore.open(url)


@pytest.fixture
async def store(postgres_server: RunningServer) -> AsyncIterator[PostgresStore]:
    opened = await open_store(postgres_server)
    yield opened
    await opened.close()


async def test_an_event_is_never_seen_before_one_with_a_lower_number(store: PostgresStore) -> None:
    """Who reads "after N" would miss an event that is numbered early and committed late."""
    id_ = f"dep-{nouns.number()}"

    async def emit(message: str) -> None:
        async with store.begin() as records:
            await records.emit(nouns.event(id_, message))

    async def seen() -> list[str]:
        async with store.begin() as records:
            return [held.message for held in await records.events(0, 9, deployment=id_)]

    async with store.begin() as slow:
        await slow.emit(nouns.event(id_, "numbered first"))
        assert len(await slow.events(0, 9, deployment=id_)) == 1  # it has its number now
        quick = asyncio.create_task(emit("numbered second"))
        done, _ = await asyncio.wait([quick], timeout=0.2)
        assert not done
        assert await seen() == []
    await quick
    assert await seen() == ["numbered first", "numbered second"]


async def test_a_deployment_that_is_got_is_locked_and_one_that_is_found_is_not(
    store: PostgresStore,
) -> None:
    held = nouns.deployment()
    async with store.begin() as records:
        await records.put(held)

    async def get() -> Deployment | None:
        async with store.begin() as records:
            return await records.get(Deployment, held.id)

    async with store.begin() as first:
        await first.get(Deployment, held.id)
        async with store.begin() as second:
            assert await second.find(Deployment, id=held.id) == [held]
        waiting = asyncio.create_task(get())
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
    assert await waiting == held


async def test_a_turn_that_is_cancelled_leaves_nothing_locked(store: PostgresStore) -> None:
    held = nouns.deployment()
    async with store.begin() as records:
        await records.put(held)

    async def hang() -> None:
        async with store.begin() as records:
            await records.get(Deployment, held.id)
            await asyncio.sleep(60)

    hanging = asyncio.create_task(hang())
    await asyncio.sleep(0.1)
    hanging.cancel()
    await asyncio.wait([hanging])
    async with asyncio.timeout(5), store.begin() as records:
        assert await records.get(Deployment, held.id) == held


async def test_a_restarted_server_goes_unnoticed_and_a_stopped_one_is_a_fault(
    own_server: RunningServer,
) -> None:
    store = await open_store(own_server)
    user = nouns.user()
    async with store.begin() as records:
        await records.put(user)
    await asyncio.to_thread(own_server.stop, signal.SIGKILL)
    with pytest.raises(Fault) as caught:
        async with store.begin() as records:
            await records.find(User)
    assert caught.value.letter.kind is FaultKind.UNAVAILABLE
    assert caught.value.letter.code == "store_unavailable"
    assert "p@ss" not in str(caught.value)
    await asyncio.to_thread(own_server.start)
    async with store.begin() as records:
        assert await records.find(User) == [user]
    await store.close()


async def test_watching_and_leading_through_a_restart(own_server: RunningServer) -> None:
    store = await open_store(own_server)
    watch = store.watch()
    async with asyncio.timeout(20):
        assert await anext(watch) == "*"
        await store.lead()
        assert store.leading
        await asyncio.to_thread(own_server.stop)
        while store.leading:
            await asyncio.sleep(0.01)
        again = asyncio.create_task(store.lead())
        await asyncio.to_thread(own_server.start)
        assert await anext(watch) == "*"
        held = nouns.deployment()
        async with store.begin() as records:
            await records.put(held)
        assert await anext(watch) == held.id
        await again
        assert store.leading
    await watch.aclose()  # type: ignore[attr-defined]
    await store.close()


async def test_one_leads_at_a_time(postgres_server: RunningServer) -> None:
    first = await open_store(postgres_server)
    second = await open_store(postgres_server)
    async with asyncio.timeout(10):
        await first.lead()
        waiting = asyncio.create_task(second.lead())
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
        assert not second.leading
        await first.close()
        await waiting
        assert second.leading
        assert not first.leading
    await second.close()


async def test_a_full_pool_is_a_fault_that_passes(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store._engine.pool, "_timeout", 0.05)
    async with asyncio.TaskGroup() as group:
        release = asyncio.Event()
        for _ in range(10):
            group.create_task(_hold(store, release))
        await asyncio.sleep(0.3)
        with pytest.raises(Fault) as caught:
            await _hold(store, release)
        release.set()
    assert caught.value.letter.code == "store_busy"


async def _hold(store: PostgresStore, release: asyncio.Event) -> None:
    async with store.begin() as records:
        await records.get(User, "nobody")
        await release.wait()


async def test_many_may_open_a_new_store_at_once(postgres_server: RunningServer) -> None:
    opened = await asyncio.gather(*(open_store(postgres_server, "fresh_at_once") for _ in range(4)))
    for store in opened:
        await store.close()


async def test_opening_what_is_up_to_date_is_quick(postgres_server: RunningServer) -> None:
    await (await open_store(postgres_server)).close()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        opened = await PostgresStore.open(postgres_server.embedded.url(STATE))
        times.append(time.perf_counter() - start)
        await opened.close()
    assert min(times) < 0.2  # about 0.02 s when nobody else uses the machine


async def test_tables_of_a_newer_platform_are_refused(postgres_server: RunningServer) -> None:
    await (await open_store(postgres_server, "newer")).close()
    postgres_server.execute("UPDATE codestore.alembic_version SET version_num = '9999'", "newer")
    with pytest.raises(Fault) as caught:
        await open_store(postgres_server, "newer")
    assert caught.value.letter.code == "store_newer"


async def test_a_server_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        await PostgresStore.open(Secret(f"postgresql://u:p@/db?host={tmp_path}"))
    assert caught.value.letter.code == "store_unavailable"


async def test_migrations_make_the_tables_that_the_store_knows(
    postgres_server: RunningServer,
) -> None:
    await (await open_store(postgres_server)).close()
    engine = create_engine(sqlalchemy_url(postgres_server.embedded.url(STATE)))
    options = {
        "include_schemas": True,
        "include_name": lambda name, type_, _: type_ != "schema" or name == SCHEMA,
        "version_table_schema": SCHEMA,
    }
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_the_newest_revision_is_the_one_that_is_expected() -> None:
    assert ScriptDirectory.from_config(configuration()).get_heads() == [schema.HEAD]
