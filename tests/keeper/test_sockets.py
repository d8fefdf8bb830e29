"""The sockets the keeper holds, and watching them."""

import asyncio
import contextlib
import socket
import stat
from pathlib import Path

import pytest

from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import Pending, SocketView
from tests.keeper.house import House, child, event


def knock(path: str, blocking: bool = True) -> socket.socket:
    visitor = socket.socket(socket.AF_UNIX)
    visitor.setblocking(blocking)
    try:
        visitor.connect(path)
    except OSError:
        visitor.close()
        raise
    return visitor


async def test_a_socket_is_held_where_only_its_owner_reaches_it(
    house: House, client: KeeperClient
) -> None:
    path = await client.listen("blog.shared-1")
    assert path == str(house.run / "s" / "blog.shared-1")
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(path).parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((house.run / "keeper.sock").stat().st_mode) == 0o600
    knock(path).close()


async def test_listening_twice_is_listening_once(client: KeeperClient) -> None:
    path = await client.listen("blog")
    with knock(path):
        assert await client.listen("blog") == path
        held = SocketView("blog", path, watched=False, waiting=True)
        assert (await client.list()).sockets == (held,)


async def test_listening_again_sets_the_backlog_and_keeps_who_waits(client: KeeperClient) -> None:
    path = await client.listen("blog", 1)
    with knock(path), knock(path), contextlib.ExitStack() as visitors:
        with pytest.raises(BlockingIOError):
            visitors.enter_context(knock(path, blocking=False))
        await client.listen("blog", 100)
        for _ in range(50):
            visitors.enter_context(knock(path, blocking=False))
        assert [each.waiting for each in (await client.list()).sockets] == [True]


async def test_a_listing_tells_of_watches_and_of_who_waits(client: KeeperClient) -> None:
    blog, shop = await client.listen("blog"), await client.listen("shop")
    await client.watch("blog", label={"standby": "d1"})
    expected = (
        SocketView("blog", blog, watched=True, label={"standby": "d1"}, waiting=False),
        SocketView("shop", shop, watched=False, label={}, waiting=True),
    )
    with knock(shop):
        assert (await client.list()).sockets == expected


async def test_a_watch_replaces_the_former_one(client: KeeperClient) -> None:
    path = await client.listen("blog")
    await client.watch("blog", child("never"), {"n": "1"})
    await client.watch("blog", label={"n": "2"})
    async with client.events() as events:
        with knock(path):
            await event(events, Pending, "blog")
            listing = await client.list()
    assert [each.name for each in listing.children] == ["control"]
    assert [(each.watched, each.label) for each in listing.sockets] == [(False, {})]


async def test_unwatching_may_be_repeated(client: KeeperClient) -> None:
    await client.listen("blog")
    await client.unwatch("blog")
    await client.watch("blog")
    await client.unwatch("blog")
    await client.unwatch("blog")
    assert [each.watched for each in (await client.list()).sockets] == [False]


async def test_closing_unlinks_and_may_be_repeated(client: KeeperClient) -> None:
    path = await client.listen("blog")
    await client.close_socket("blog")
    await client.close_socket("blog")
    assert not Path(path).exists()
    assert (await client.list()).sockets == ()


async def test_a_watch_tells_once_of_a_waiting_connection(client: KeeperClient) -> None:
    blog, shop = await client.listen("blog"), await client.listen("shop")
    async with client.events() as events:
        await client.watch("blog")
        await client.watch("shop")
        with knock(blog), knock(blog):
            assert await event(events, Pending, "blog") == Pending("blog")
            watched = {each.name: each.watched for each in (await client.list()).sockets}
            assert watched == {"blog": False, "shop": True}
            with knock(shop):  # the next event is not about blog again
                assert await anext(events) == Pending("shop")


async def test_a_watch_tells_of_a_connection_that_came_before_it(client: KeeperClient) -> None:
    path = await client.listen("blog")
    async with client.events() as events:
        with knock(path):
            await client.watch("blog")
            await event(events, Pending, "blog")
            await client.watch("blog")
            await event(events, Pending, "blog")


async def test_nothing_is_told_after_unwatch(client: KeeperClient) -> None:
    blog, shop = await client.listen("blog"), await client.listen("shop")
    await client.watch("blog")
    await client.unwatch("blog")
    async with client.events() as events:
        with knock(blog), knock(shop):
            await client.watch("shop")
            assert await anext(events) == Pending("shop")


async def test_a_watched_socket_can_be_closed(client: KeeperClient) -> None:
    await client.listen("blog")
    await client.watch("blog")
    await client.close_socket("blog")
    path = await client.listen("blog")
    async with client.events() as events:
        await client.watch("blog")
        with knock(path):
            await event(events, Pending, "blog")


async def test_a_thousand_sockets_are_watched_quickly(client: KeeperClient) -> None:
    names = [f"sleeper-{number}" for number in range(1000)]
    paths = await asyncio.gather(*map(client.listen, names))
    await asyncio.gather(*map(client.watch, names))
    async with client.events() as events:
        with knock(paths[700]):
            assert await anext(events) == Pending("sleeper-700")


@pytest.mark.parametrize("verb", ["watch", "unwatch"])
async def test_an_unknown_socket_cannot_be_watched(client: KeeperClient, verb: str) -> None:
    with pytest.raises(KeeperError, match="no socket 'nobody'") as refused:
        await getattr(client, verb)("nobody")
    assert refused.value.code == "not-found"
