"""The sockets the keeper holds, and watching them."""

import asyncio
import socket
import stat
from pathlib import Path

import pytest

from codestore.keeper.client import KeeperClient
from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol import Pending, SocketView
from tests.keeper.house import House, event


def knock(path: str) -> socket.socket:
    visitor = socket.socket(socket.AF_UNIX)
    visitor.connect(path)
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
        assert (await client.list()).sockets == (SocketView("blog", path, watched=False),)


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
