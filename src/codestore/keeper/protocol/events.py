"""Following what happens under the keeper."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from codestore.keeper.errors import TIMEOUT, KeeperError
from codestore.keeper.protocol import codec, messages
from codestore.keeper.protocol.connection import Connection, refusal
from codestore.keeper.protocol.messages import Event


class EventStream:
    """An endless iterator of events; subscribes when it is entered, or at the first step.

    It never ends by itself: when the keeper has gone, or has cut off a reader who was too slow, a
    step raises ``KeeperError(disconnected)``. Events may be missing then: connect again and list.
    """

    def __init__(self, path: Path, patience: float) -> None:
        self._path = path
        self._patience = patience
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        await self._subscribed()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        connection = await self._subscribed()
        return codec.decode_event(await connection.receive())

    async def close(self) -> None:
        """Hang up. Idempotent; another step would subscribe anew."""
        if self._connection:
            await self._connection.close()
            self._connection = None

    async def _subscribed(self) -> Connection:
        if self._connection is None:
            connection = await Connection.open(self._path, self._patience)
            try:
                connection.send(codec.encode_request(0, messages.Subscribe()))
                async with asyncio.timeout(self._patience):
                    error = refusal(await connection.receive())
            except TimeoutError:
                error = KeeperError(TIMEOUT, f"no answer within {self._patience} s")
            if error:
                await connection.close()
                raise error
            self._connection = connection
        return self._connection
