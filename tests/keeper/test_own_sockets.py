"""Freezing a child that was given more sockets than the one its callers come to."""

import asyncio

from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.events import EventStream
from codestore.keeper.protocol.messages import Frozen, Notify
from tests.keeper.house import event, listed, script
from tests.keeper.test_freezing import runs
from tests.keeper.test_sockets import knock
from tests.keeper.visits import asleep, echoed

BOTH = """
import threading
def serve(visitor):
    with visitor:
        while data := visitor.recv(65536):
            visitor.sendall(data)
def accept(number):
    listener = socket.socket(fileno=number)
    while True:
        visitor, _ = listener.accept()
        threading.Thread(target=serve, args=(visitor,), daemon=True).start()
threading.Thread(target=accept, args=(3,), daemon=True).start()
say("READY=1")
accept(4)
"""
DEAF = "import signal; say('READY=1')\nwhile True: signal.pause()"


async def given_two(client: KeeperClient, events: EventStream, code: str = BOTH) -> str:
    """Start ``x`` at its own socket and the one of all; return its own socket's path."""
    await client.listen("blog")
    own = await client.listen("blog.1.0")
    sockets = (("private", "blog.1.0"), ("shared", "blog"))
    await client.spawn(script("x", code, sockets=sockets))
    await event(events, Notify, "x")
    return own


async def test_a_connection_to_its_own_socket_keeps_it_awake(sleepers: KeeperClient) -> None:
    async with sleepers.events() as events:
        own = await given_two(sleepers, events)
        with knock(own) as visitor:
            visitor.setblocking(False)
            loop = asyncio.get_running_loop()
            for _ in range(10):
                assert await sleepers.freeze("x", "blog") is False
                await loop.sock_sendall(visitor, b"x")
                assert await loop.sock_recv(visitor, 1) == b"x"
        await asleep(sleepers, "x", "blog")


async def test_who_waits_at_its_own_socket_keeps_it_awake(sleepers: KeeperClient) -> None:
    async with sleepers.events() as events:
        own = await given_two(sleepers, events, DEAF)
        with knock(own):
            assert await sleepers.freeze("x", "blog") is False


async def test_who_comes_to_its_own_socket_thaws_it(sleepers: KeeperClient) -> None:
    async with sleepers.events() as events:
        own = await given_two(sleepers, events)
        shared = (await sleepers.list()).sockets[0].path
        for path in (own, shared, own):
            await asleep(sleepers, "x", "blog")
            assert await event(events, Frozen, "x") == Frozen("x", frozen=True)
            assert await echoed(path, b"hello") == b"hello"
            assert await event(events, Frozen, "x") == Frozen("x", frozen=False)
            view = await listed(sleepers, "x")
            assert (view.frozen, runs(view.pid)) == (False, True)
            assert not any(held.watched for held in (await sleepers.list()).sockets)


async def test_no_request_at_its_own_socket_is_lost_to_a_freeze(sleepers: KeeperClient) -> None:
    async with sleepers.events() as events:
        own = await given_two(sleepers, events)
    frozen = asyncio.Event()

    async def freezing() -> None:
        while True:
            if await sleepers.freeze("x", "blog"):
                frozen.set()

    lullaby = asyncio.create_task(freezing())
    async with asyncio.timeout(100):
        for turn in range(100):
            if turn % 3 == 0:  # else it comes while it is being looked at
                frozen.clear()
                await frozen.wait()
            assert await echoed(own, b"%d" % turn) == b"%d" % turn
            await asyncio.sleep(0.001 * (turn % 3))
    lullaby.cancel()
    await asyncio.wait([lullaby])


async def test_a_socket_of_its_own_that_was_closed_is_none(sleepers: KeeperClient) -> None:
    async with sleepers.events() as events:
        await given_two(sleepers, events)
        await sleepers.close_socket("blog.1.0")
        await asleep(sleepers, "x", "blog")
        await sleepers.thaw("x")
        assert (await listed(sleepers, "x")).frozen is False
