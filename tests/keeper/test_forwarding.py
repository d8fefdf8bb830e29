"""Connections handed on to the ports of children."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.events import EventStream
from codestore.keeper.protocol.messages import Exited, Frozen, Notify, Woken
from tests.keeper.house import PATIENCE, House, child, event, listed, run, script
from tests.keeper.test_sockets import knock
from tests.keeper.visits import ASKED, BLOCKED, NOW, PORT_ECHO, asleep, echoed


async def ready(events: EventStream, name: str) -> None:
    while not (await event(events, Notify, name)).ready:
        pass


async def forwarding(client: KeeperClient, code: str = NOW) -> str:
    """Start the child ``echo`` with a port that ``blog`` is forwarded to; return the path."""
    path = await client.listen("blog")
    async with client.events() as events:
        await client.forward("blog", "echo")
        await client.spawn(script("echo", code, port=True))
        await ready(events, "echo")
    return path


async def test_what_is_sent_comes_back_with_its_end(client: KeeperClient) -> None:
    path = await forwarding(client)
    await client.forward("blog", "echo")
    assert await echoed(path, b"hello") == b"hello"
    assert await asyncio.gather(*(echoed(path, b"%d" % n) for n in range(50))) == [
        b"%d" % n for n in range(50)
    ]


async def test_large_bodies_pass_both_ways(client: KeeperClient) -> None:
    path = await forwarding(client)
    body = os.urandom(8 * 1024 * 1024)
    assert await echoed(path, body) == body


async def test_a_reader_who_does_not_read_holds_up_the_writer(client: KeeperClient) -> None:
    path = await forwarding(client)
    with knock(path) as visitor:
        visitor.setblocking(False)
        sent = 0
        with pytest.raises(TimeoutError):  # full, all the way there and back
            async with asyncio.timeout(1):
                while True:
                    await asyncio.get_running_loop().sock_sendall(visitor, b"x" * 4096)
                    sent += 4096
        assert sent < 64 * 1024 * 1024
        assert await echoed(path, b"others") == b"others"


async def test_an_answer_after_the_end_of_the_question(client: KeeperClient) -> None:
    code = PORT_ECHO + (
        "listener = listen(); listener.accept()[0].close()\n"  # the keeper, looking
        "visitor, _ = listener.accept()\n"
        "while visitor.recv(10): pass\n"
        "visitor.sendall(b'after the end'); visitor.close(); listener.accept()"
    )
    path = await forwarding(client, code)
    assert await echoed(path, b"question") == b"after the end"


async def test_an_answer_before_the_end_of_the_question(client: KeeperClient) -> None:
    code = PORT_ECHO + (
        "listener = listen(); listener.accept()[0].close()\n"
        "visitor, _ = listener.accept()\n"
        "visitor.recv(1); visitor.sendall(b'x' * 1000000); visitor.shutdown(socket.SHUT_WR)\n"
        "while visitor.recv(65536): pass\n"
        "visitor.close(); listener.accept()"
    )
    path = await forwarding(client, code)
    assert await echoed(path, b"y" * 1_000_000) == b"x" * 1_000_000


async def test_visitors_wait_until_it_listens(client: KeeperClient) -> None:
    path = await client.listen("blog")
    await client.forward("blog", "echo")
    visits = [asyncio.create_task(echoed(path, b"%d" % n)) for n in range(10)]
    async with client.events() as events:
        await client.spawn(script("echo", BLOCKED + "say('STATUS=up'); " + ASKED, port=True))
        await event(events, Notify, "echo")
        assert (await client.list()).sockets[0].waiting is True
        await client.signal("echo", "SIGUSR1")
    assert await asyncio.gather(*visits) == [b"%d" % n for n in range(10)]


async def test_a_visitor_starts_a_child_with_a_port(client: KeeperClient) -> None:
    path = await client.listen("blog")
    await client.watch("blog", script("echo", NOW, port=True))
    async with client.events() as events:
        assert await echoed(path, b"hello") == b"hello"
        woken = await event(events, Woken, "blog")
    assert (woken.child, woken.thawed, woken.seconds < PATIENCE) == ("echo", False, True)
    assert await echoed(path, b"again") == b"again"


async def test_a_frozen_one_is_thawed_by_a_visitor(sleepers: KeeperClient) -> None:
    path = await forwarding(sleepers)
    for _ in range(5):
        async with sleepers.events() as events:
            await asleep(sleepers, "echo", "blog")
            assert (await event(events, Frozen, "echo")).frozen is True
            assert await echoed(path, b"hello") == b"hello"
            assert (await event(events, Frozen, "echo")).frozen is False
            assert (await event(events, Woken, "blog")).thawed is True


async def test_a_visitor_at_another_socket_thaws_it_too(client: KeeperClient) -> None:
    await forwarding(client)
    other = await client.listen("shop")
    await client.forward("shop", "echo")
    await asleep(client, "echo", "blog")
    assert await echoed(other, b"hello") == b"hello"
    assert (await listed(client, "echo")).frozen is False


async def test_who_forwards_or_is_called_is_not_frozen(client: KeeperClient) -> None:
    path = await forwarding(client)
    loop = asyncio.get_running_loop()
    with knock(path) as visitor:
        visitor.setblocking(False)
        await loop.sock_sendall(visitor, b"x")
        assert await loop.sock_recv(visitor, 10) == b"x"
        assert await client.freeze("echo", "blog") is False
        await loop.sock_sendall(visitor, b"y")
        assert await loop.sock_recv(visitor, 10) == b"y"
    port = (await listed(client, "echo")).port
    assert await echoed(path, b"z") == b"z"
    with socket.create_connection(("127.0.0.1", port)):
        assert await client.freeze("echo", "blog") is False


async def test_no_request_is_lost_while_it_falls_asleep(sleepers: KeeperClient) -> None:
    path = await forwarding(sleepers)
    frozen = asyncio.Event()

    async def freezing() -> None:
        while True:
            if await sleepers.freeze("echo", "blog"):
                frozen.set()

    lullaby = asyncio.create_task(freezing())
    async with asyncio.timeout(100):
        for number in range(100):
            if number % 3 == 0:  # else they come while it is being looked at
                frozen.clear()
                await frozen.wait()
            texts = [b"%d %d" % (number, each) for each in range(3)]
            assert await asyncio.gather(*(echoed(path, each) for each in texts)) == texts
    lullaby.cancel()
    await asyncio.wait([lullaby])


async def test_when_it_ends_its_connections_do_and_others_wait(client: KeeperClient) -> None:
    path = await forwarding(client)
    loop = asyncio.get_running_loop()
    async with client.events() as events:
        with knock(path) as visitor:
            visitor.setblocking(False)
            await loop.sock_sendall(visitor, b"x")
            assert await loop.sock_recv(visitor, 10) == b"x"
            await client.signal("echo", "SIGKILL")
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(ConnectionError):
                    while await loop.sock_recv(visitor, 10) == b"":
                        await loop.sock_sendall(visitor, b"y")
            await event(events, Exited, "echo")
        visit = asyncio.create_task(echoed(path, b"patience"))
        await client.spawn(script("echo", NOW, port=True))
        assert await visit == b"patience"


async def test_later_connections_go_to_another_and_then_nowhere(client: KeeperClient) -> None:
    path = await forwarding(client)
    loop = asyncio.get_running_loop()
    with knock(path) as first:
        first.setblocking(False)
        await loop.sock_sendall(first, b"x")
        assert await loop.sock_recv(first, 10) == b"x"
        async with client.events() as events:
            code = PORT_ECHO.replace("visitor.sendall(data)", "visitor.sendall(data.upper())")
            await client.spawn(script("loud", code + "echo(listen())", port=True))
            await ready(events, "loud")
        await client.forward("blog", "loud")
        assert await echoed(path, b"y") == b"Y"
        await client.forward("blog", None)
        with knock(path):
            assert (await client.list()).sockets[0].waiting is True
            await loop.sock_sendall(first, b"z")
            assert await loop.sock_recv(first, 10) == b"z"
        assert (await client.list()).sockets[0].waiting is True


@pytest.mark.usefixtures("many_files")
async def test_more_than_a_thousand_wait_for_their_turn(client: KeeperClient) -> None:
    code = PORT_ECHO + "listener = listen(); say('STATUS=up')\nimport signal; signal.pause()"
    path = await forwarding(client, code)
    await client.listen("blog", 2000)
    visitors = [knock(path) for _ in range(1030)]
    try:
        keeper = (await listed(client, "control")).pid
        status = Path(f"/proc/{keeper}/stat").read_text().rpartition(")")[2].split()
        descriptors = Path(f"/proc/{status[1]}/fd")
        async with asyncio.timeout(PATIENCE):
            while len(list(descriptors.iterdir())) < 2048:
                await asyncio.sleep(0.01)
        listing = await client.list()
        assert listing.sockets[0].waiting is True
        assert len(list(descriptors.iterdir())) < 2048 + 100
    finally:
        for visitor in visitors:
            visitor.close()


async def test_a_socket_forwarded_can_be_closed(client: KeeperClient) -> None:
    path = await forwarding(client)
    assert await echoed(path, b"x") == b"x"
    await client.close_socket("blog")
    with knock(await client.listen("blog")):
        assert (await client.list()).sockets[0].waiting is True
    with pytest.raises(KeeperError, match="no socket 'nobody'"):
        await client.forward("nobody", "echo")


async def test_one_without_a_port_is_never_forwarded_to(house: House, client: KeeperClient) -> None:
    path = await client.listen("blog")
    await client.forward("blog", "a")
    await client.spawn(child("a"))
    with knock(path):
        assert (await client.list()).sockets[0].waiting is True
    code = "print('PORT' in os.environ)"
    await run(client, script("x", code, log="x.log"))
    assert house.log("x.log")[0][2] == "False"
