"""LISTEN on a connection of its own, opened again whenever it is lost."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import psycopg
import structlog
from psycopg import sql

from codestore.domain.secret import Secret
from codestore.ports import EVERYTHING
from codestore.store.connections import connect

_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 5.0
log = structlog.get_logger(__name__)


async def watch(url: Secret, channel: str) -> AsyncIterator[str]:
    """Yield ``*`` each time it begins to listen, then the payload of every notification.

    What is committed after a ``*`` is told; what was committed before is covered by it. Nothing
    is buffered here: a consumer that is slow leaves notifications in the server's queue. Never
    raises for a lost server: it tries again, at most every 5 seconds.
    """
    wait = _FIRST_WAIT
    listen = sql.SQL("LISTEN {}").format(sql.Identifier(channel))
    while True:
        try:
            async with await connect(url) as connection:
                await connection.execute(listen)
                wait = _FIRST_WAIT
                yield EVERYTHING
                async for notification in connection.notifies():
                    yield notification.payload
        except psycopg.OperationalError as error:
            log.warning("stopped listening", reason=str(error).strip(), again_in=wait)
        await asyncio.sleep(wait)
        wait = min(wait * 2, _LONGEST_WAIT)
