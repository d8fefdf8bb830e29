"""One forwarded connection: bytes both ways, with back-pressure, each end passed on by itself."""

import asyncio
import contextlib
import socket
from typing import Final

_CHUNK: Final = 64 * 1024
LAST_BYTES: Final = 5.0
"""Seconds in which a visitor may still be sent what an ended child has left."""


async def relay(
    visitor: socket.socket,
    child: socket.socket,
    ended: asyncio.Future[int],
    greeting: bytes = b"",
) -> None:
    """Pass bytes on until both sides have ended, the visitor has gone, or the child's process.

    ``greeting`` goes behind the first line that the child says. The sockets stay the caller's to
    close.
    """
    up = asyncio.create_task(_pump(visitor, child))
    down = asyncio.create_task(_pump(child, visitor, greeting))
    left = {up, down}
    try:
        while left and not ended.done():
            waited: set[asyncio.Future[object]] = {*left, ended}  # type: ignore[arg-type]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            left = {each for each in left if not each.done()}
            # A child that takes no more may still be answering; nobody hears it for a visitor.
            if down.done() and not down.result():
                return
        if ended.done() and not down.done():
            up.cancel()
            await asyncio.wait([down], timeout=LAST_BYTES)
    finally:
        up.cancel()
        down.cancel()
        await asyncio.wait([up, down])  # nobody may follow the sockets when they are closed


async def _pump(source: socket.socket, sink: socket.socket, greeting: bytes = b"") -> bool:
    """Pass bytes on to the end; tell whether the sink has got them all."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            data = await loop.sock_recv(source, _CHUNK)
        except OSError:  # broken off: all that can be passed on is the end
            data = b""
        if greeting and b"\n" in data:  # a line that comes in two pieces is not worth the trouble
            line, end, rest = data.partition(b"\n")
            data, greeting = line + end + greeting + rest, b""
        try:
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return True
            await loop.sock_sendall(sink, data)
        except OSError:
            return False


async def answer(visitor: socket.socket, data: bytes, most: int, patience: float) -> None:
    """Send ``data``, say that this is all, hear the visitor out within bounds, and close.

    Closing without reading could destroy the answer on its way.
    """
    loop = asyncio.get_running_loop()
    with visitor, contextlib.suppress(OSError):  # TimeoutError is one too
        async with asyncio.timeout(patience):
            await loop.sock_sendall(visitor, data)
            visitor.shutdown(socket.SHUT_WR)
            while most > 0 and (heard := await loop.sock_recv(visitor, _CHUNK)):
                most -= len(heard)
