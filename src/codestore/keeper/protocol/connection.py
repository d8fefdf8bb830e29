"""A client's connection: messages out, messages in, ``KeeperError`` when there is nobody."""

import asyncio
import contextlib
from pathlib import Path
from typing import Self

from codestore.keeper.errors import DISCONNECTED, TIMEOUT, KeeperError
from codestore.keeper.protocol import codec


class Connection:
    """Made with ``open``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, path: Path, patience: float) -> Self:
        """Connect to the keeper's socket within ``patience`` seconds.

        Raises ``KeeperError``: ``disconnected`` when nobody listens there, ``timeout``.
        """
        try:
            async with asyncio.timeout(patience):
                return cls(*await asyncio.open_unix_connection(path, limit=codec.MAX_ANSWER))
        except TimeoutError:
            raise KeeperError(TIMEOUT, f"no connection to {path} within {patience} s") from None
        except OSError as failure:
            raise KeeperError(DISCONNECTED, f"no keeper at {path}: {failure.strerror}") from None

    def send(self, line: bytes) -> None:
        """Queue a line; it is sent in the background."""
        self._writer.write(line)

    async def receive(self) -> codec.Message:
        """Return the next message. Raises ``KeeperError(disconnected)`` at the end."""
        try:
            line = await self._reader.readline()
        except (ConnectionError, ValueError) as failure:
            raise KeeperError(DISCONNECTED, f"the connection broke: {failure}") from None
        if not line.endswith(b"\n"):
            raise KeeperError(DISCONNECTED, "the keeper has closed the connection")
        return codec.parse(line)

    async def close(self) -> None:
        """Hang up. Idempotent."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


def refusal(message: codec.Message) -> KeeperError | None:
    """Return the error that an answer carries, if it does."""
    error = message.get("error")
    return KeeperError(error["code"], error["message"]) if error else None
