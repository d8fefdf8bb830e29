"""Refusing: all who wait get the answer, and nobody else."""

import asyncio
import contextlib
import socket

import pytest

from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.messages import Notify
from tests.keeper.house import PATIENCE, event, script
from tests.keeper.test_sockets import knock
from tests.keeper.visits import ECHO, echoed

ANSWER = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 3\r\n\r\n☃"


async def test_all_who_wait_get_the_answer_and_none_after(client: KeeperClient) -> None:
    path = await client.listen("blog")
    assert await client.refuse("blog", ANSWER) == 0
    # Some have said much already, some nothing: they get it either way.
    bodies = [b"x" * 100_000, b"GET / HTTP/1.1\r\n\r\n", b""] * 20
    with contextlib.ExitStack() as stack:
        visitors = [stack.enter_context(knock(path)) for _ in bodies]
        for visitor, body in zip(visitors, bodies, strict=True):
            visitor.sendall(body)  # it is not taken yet: as much as this, the kernel keeps
            visitor.shutdown(socket.SHUT_WR)
        assert await client.refuse("blog", ANSWER) == len(visitors)
        for visitor in visitors:
            visitor.settimeout(PATIENCE)
            heard = await asyncio.to_thread(visitor.recv, 1000, socket.MSG_WAITALL)
            assert heard == ANSWER.encode()
    with knock(path):
        assert (await client.list()).sockets[0].waiting is True
        assert await client.refuse("blog", "") == 1


async def test_who_stays_on_the_line_is_hung_up_on(client: KeeperClient) -> None:
    path = await client.listen("blog")
    with knock(path) as visitor:
        assert await client.refuse("blog", ANSWER) == 1
        visitor.setblocking(False)
        loop = asyncio.get_running_loop()
        assert await loop.sock_recv(visitor, 1000) == ANSWER.encode()
        assert await loop.sock_recv(visitor, 1000) == b""
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(ConnectionError):
                while True:
                    await loop.sock_sendall(visitor, b"x" * 65536)


async def test_a_child_with_the_socket_blocks_as_before(client: KeeperClient) -> None:
    path = await client.listen("blog")
    async with client.events() as events:
        await client.spawn(script("echo", ECHO, sockets=(("http", "blog"),)))
        await event(events, Notify, "echo")
    assert await client.refuse("blog", ANSWER) == 0
    assert await echoed(path, b"x") == b"x"


async def test_nobody_can_be_refused_where_nobody_listens(client: KeeperClient) -> None:
    with pytest.raises(KeeperError, match="no socket 'nobody'") as refused:
        await client.refuse("nobody", ANSWER)
    assert refused.value.code == "not-found"
