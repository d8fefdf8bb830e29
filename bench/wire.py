"""A kept connection for the load: says exactly how an answer ended, and never tries again."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support.platform import KEY

BLOCK = 64 * 1024
HEAD_END = b"\r\n\r\n"


class Stale(ConnectionError):
    """A kept connection was closed while nothing was asked over it."""


class Cut(ConnectionError):
    """An answer was not sent to its end."""


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an answer."""

    status: int
    headers: Mapping[str, str]

    @property
    def closing(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


@dataclass(slots=True)
class Wire:
    """One connection to a place, opened when it is first used."""

    place: Mapping[str, str]
    opened: int = 0
    announced: int = 0
    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = field(default=None)

    async def ask(
        self, path: str, body: bytes | None = None, seconds: float = 0.0
    ) -> tuple[Head, bytes]:
        """Send a request, its body spread over ``seconds``; return the answer."""
        head = await self.begin(path, body, seconds)
        return head, b"".join([piece async for piece in self.pieces(head)])

    async def begin(self, path: str, body: bytes | None = None, seconds: float = 0.0) -> Head:
        """Send a request; return the beginning of the answer."""
        reader, writer, fresh = await self._connected()
        try:
            if not fresh and reader.at_eof():
                raise Stale("closed while it was kept")
            writer.write(self._request(path, body))
            await self._send(writer, body or b"", seconds)
            return await self._head(reader, fresh)
        except BaseException:
            self.drop()
            raise

    async def pieces(self, head: Head) -> AsyncIterator[bytes]:
        """Yield the body as it comes; raise ``Cut`` when it ends before its end."""
        assert self._reader is not None
        whole = False
        try:
            if "content-length" in head.headers:
                async for piece in _counted(self._reader, int(head.headers["content-length"])):
                    yield piece
            else:
                async for piece in _chunked(self._reader):
                    yield piece
            whole = True
        finally:
            if head.closing:
                self.announced += 1
            if head.closing or not whole:
                self.drop()

    def drop(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bool]:
        if self._reader is not None and self._writer is not None:
            return self._reader, self._writer, False
        parts = urlsplit(self.place["url"])
        self._reader, self._writer = await asyncio.open_connection(parts.hostname, parts.port)
        self.opened += 1
        return self._reader, self._writer, True

    def _request(self, path: str, body: bytes | None) -> bytes:
        parts = urlsplit(self.place["url"])
        method = "GET" if body is None else "POST"
        lines = [f"{method} {parts.path}{path} HTTP/1.1", f"host: {parts.netloc}"]
        lines.append(f"{KEY}: {self.place['key']}")
        if body is not None:
            kind = "application/json" if body.startswith(b"{") else "application/octet-stream"
            lines += [f"content-type: {kind}", f"content-length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode()

    async def _send(self, writer: asyncio.StreamWriter, body: bytes, seconds: float) -> None:
        for start in range(0, len(body), BLOCK):
            writer.write(body[start : start + BLOCK])
            await writer.drain()
            if seconds:
                await asyncio.sleep(seconds * BLOCK / len(body))
        await writer.drain()

    async def _head(self, reader: asyncio.StreamReader, fresh: bool) -> Head:
        try:
            data = await reader.readuntil(HEAD_END)
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise Cut(f"in the head: {error.partial[:200]!r}") from error
            how = "a new" if fresh else "a kept"
            raise Stale(f"{how} connection was closed instead of an answer") from error
        first, *lines = data[: -len(HEAD_END)].decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        return Head(int(first.split()[1]), headers)


async def _counted(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    left = length
    while left:
        piece = await reader.read(min(left, BLOCK))
        if not piece:
            raise Cut(f"{left} of {length} bytes are missing")
        left -= len(piece)
        yield piece


async def _chunked(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    seen = 0
    try:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            piece = await reader.readexactly(size)
            await reader.readexactly(2)
            seen += size
            yield piece
        await reader.readexactly(2)
    except asyncio.IncompleteReadError as error:
        raise Cut(f"no last chunk after {seen} bytes") from error
