"""What only the store in memory does."""

import pytest

from codestore.domain.services import User
from codestore.store.memory import MemoryStore
from tests.store import nouns


async def test_a_transaction_inside_a_transaction_is_refused_instead_of_waiting() -> None:
    store = MemoryStore()
    async with store.begin() as records:
        with pytest.raises(RuntimeError, match="inside"):
            async with store.begin():
                pass
        await records.put(nouns.user())
    async with store.begin() as records:
        assert len(await records.find(User)) == 1


async def test_a_watcher_far_behind_is_told_to_look_at_everything() -> None:
    store = MemoryStore()
    watch = store.watch()
    assert await anext(watch) == "*"
    async with store.begin() as records:
        await records.put(*(nouns.deployment() for _ in range(2000)))
    held = nouns.deployment()
    async with store.begin() as records:
        await records.put(held)
    assert [await anext(watch), await anext(watch)] == ["*", held.id]


async def test_nouns_are_kept_as_they_are() -> None:
    store, user = MemoryStore(), nouns.user()
    async with store.begin() as records:
        await records.put(user)
        assert await records.get(User, user.id) is user
