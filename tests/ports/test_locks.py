"""Locks by name: whoever comes second sees what the first one wrote."""

import asyncio

import pytest

from codestore.ports import Store
from tests.ports.test_store import put as put
from tests.ports.test_store import store as store
from tests.store import nouns


async def test_the_second_waits_and_sees_what_the_first_wrote(store: Store) -> None:
    secret, seen = nouns.secret(), []
    holds = asyncio.Event()

    async def first() -> None:
        async with store.begin() as records:
            await records.lock("a name")
            holds.set()
            await asyncio.sleep(0)
            await records.put(secret)

    async def second() -> None:
        await holds.wait()
        async with store.begin() as records:
            await records.lock("a name")
            seen.extend(await records.find(type(secret), id=secret.id))

    await asyncio.wait_for(asyncio.gather(first(), second()), 10)
    assert seen == [secret]


async def test_a_key_is_set_once_in_a_scope(store: Store) -> None:
    first = nouns.secret()
    await put(store, first)
    other = nouns.secret(key=first.key, data_key="another")
    with pytest.raises(Exception, match="is set there already"):
        await put(store, other)
