"""TCP ports of children: a free one to give, and the wait until it accepts."""

import asyncio
import errno
import itertools
import os
import socket
from typing import Final

from codestore.keeper.errors import SYSTEM, KeeperError

HOST: Final = "127.0.0.1"
_FIRST, _COUNT = 20_000, 12_000  # below those that the kernel gives to outgoing connections
_CLOSELY: Final = 2.0  # seconds of the first, short steps
_SHORT: Final = 0.001
_LONG: Final = 0.025
_ATTEMPT: Final = 1.0  # seconds for one; a full queue swallows the first packet

_numbers = itertools.count(os.getpid() * 61)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has, another one each time.

    It stays free until the child takes it, as far as it is for us: the kernel would not give it
    to anybody who has not asked for exactly this one. Raises ``KeeperError(system)``.
    """
    for number in itertools.islice(_numbers, _COUNT):
        port = _FIRST + number % _COUNT
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise KeeperError(SYSTEM, f"no TCP port of {HOST} is free")


async def dial(
    port: int, ended: asyncio.Future[int], inside: socket.socket | None = None
) -> socket.socket | None:
    """Return a connection to ``port`` as soon as it accepts one, ``None`` when ``ended`` first.

    ``inside`` is a socket to do it with, which is in another network; it is ours from then on.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not ended.done():
        connection = await _attempt(port, inside)
        if connection:
            return connection
        step = _SHORT if loop.time() - began < _CLOSELY else _LONG
        await asyncio.wait([ended], timeout=step)
    if inside:
        inside.close()
    return None


async def _attempt(port: int, inside: socket.socket | None) -> socket.socket | None:
    """Try once. A socket that was refused may try again: Linux, where there are such networks."""
    connection = inside or socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # On this host the answer is mostly there at once, and this is asked a thousand times.
        refused = connection.connect_ex((HOST, port))
        if refused in (errno.EINPROGRESS, errno.EALREADY):
            async with asyncio.timeout(_ATTEMPT):
                await asyncio.get_running_loop().sock_connect(connection, (HOST, port))
        elif refused:
            raise OSError(refused, os.strerror(refused))
        # Where nobody listens, a connection may by chance have been made with itself.
        if connection.getsockname() != connection.getpeername():
            return connection
    except OSError:  # nobody there yet; TimeoutError is one too
        pass
    except BaseException:
        connection.close()
        raise
    if connection is not inside:
        connection.close()
    return None
