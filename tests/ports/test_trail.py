"""The Trail door: one suite for every implementation."""

import asyncio

import pytest

from codestore.domain.audit import Chain, Deed, Entry, chained, verified
from codestore.domain.secret import Secret
from codestore.ports import Store
from tests.ports.test_store import store
from tests.store import nouns

__all__ = ["store"]
KEY = Secret("key")


def deed(subject: str) -> Deed:
    return Deed(nouns.NOW, "ann", "usr-1", "push", subject, "a\0b \ud800 ü")


async def append(store: Store, organization: str, subject: str) -> Entry:
    async with store.begin() as records:
        last = await records.trail.last(organization)
        entry = chained(organization, deed(subject), last, KEY)
        await records.trail.append(entry)
    return entry


async def test_entries_come_in_order_and_as_they_were(store: Store) -> None:
    mine, other = f"acme{nouns.number()}", f"acme{nouns.number()}"
    made = [await append(store, mine, f"blog{number}") for number in range(5)]
    await append(store, other, "blog")
    async with store.begin() as records:
        trail = records.trail
        assert await trail.last(mine) == made[-1]
        assert await trail.entries(mine, 0, 100) == made
        assert await trail.entries(mine, 1, 2) == made[1:3]
        assert await trail.entries(mine, 0, 2, newest=True) == made[3:]
        assert await trail.entries(mine, 5, 10) == []
        assert [entry.sequence for entry in await trail.entries(other, 0, 9)] == [1]
        assert await trail.last(f"nobody{nouns.number()}") is None
    assert verified(Chain(), mine, made, KEY).broken_at is None


async def test_what_is_undone_is_not_in_it(store: Store) -> None:
    mine = f"acme{nouns.number()}"
    with pytest.raises(ZeroDivisionError):
        async with store.begin() as records:
            entry = chained(mine, deed("x"), await records.trail.last(mine), KEY)
            await records.trail.append(entry)
            raise ZeroDivisionError
    async with store.begin() as records:
        assert await records.trail.last(mine) is None


async def test_many_who_append_at_once_make_one_chain(store: Store) -> None:
    mine = f"acme{nouns.number()}"
    await asyncio.gather(*(append(store, mine, f"blog{number}") for number in range(8)))
    async with store.begin() as records:
        entries = await records.trail.entries(mine, 0, 100)
    assert verified(Chain(), mine, entries, KEY) == Chain(8, entries[-1].seal)
