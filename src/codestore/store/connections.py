"""How the platform connects to its database: time-outs on everything, text that hides secrets."""

import time
from typing import Any, Final

from psycopg import AsyncConnection, OperationalError
from sqlalchemy import URL, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from codestore.domain.secret import Secret

POOL_SIZE: Final = 10
POOL_TIMEOUT: Final = 10.0
"""Seconds to wait for a connection of the pool."""
FRESH: Final = 0.1
"""Seconds for which a connection is believed to live: no server is restarted in less."""

_CONNECT: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "application_name": "codestore",
    # A server across the network that vanishes is noticed within half a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
_PATIENCE: Final = (
    "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
)


def sqlalchemy_url(url: Secret) -> URL:
    """Return a ``postgresql://`` URL as SQLAlchemy wants it, with psycopg as the driver."""
    return make_url(url.reveal()).set(drivername="postgresql+psycopg")


def make_engine(url: Secret) -> AsyncEngine:
    """Return the pool that transactions take connections from.

    A connection that has rested is asked whether it lives before it is handed out, so a restarted
    server goes unnoticed. The one that was used last is handed out first: it knows the statements.
    Parameters of statements stay out of error texts: they hold sealed keys.
    """
    engine = create_async_engine(
        sqlalchemy_url(url),
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT,
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args={**_CONNECT, "options": _PATIENCE},
    )
    _ask_what_rested(engine)
    return engine


def _ask_what_rested(engine: AsyncEngine) -> None:
    """Do what ``pool_pre_ping`` does, but not where the last transaction has just ended."""
    pool, dialect = engine.sync_engine.pool, engine.sync_engine.dialect

    def back(_: object, record: ConnectionPoolEntry) -> None:
        record.info["back"] = time.monotonic()

    def out(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        now = time.monotonic()
        if now - record.info.get("back", now) > FRESH:
            try:
                dialect.do_ping(connection)
            except OperationalError as error:
                raise InvalidatePoolError from error

    event.listen(pool, "checkin", back)
    event.listen(pool, "checkout", out)


async def connect(url: Secret) -> AsyncConnection[Any]:
    """Open a connection of its own, outside of the pool, for what lasts: no statement time-out.

    Raises psycopg.OperationalError when the server does not answer.
    """
    return await AsyncConnection.connect(url.reveal(), autocommit=True, **_CONNECT)
