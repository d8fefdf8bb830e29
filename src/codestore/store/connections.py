"""How the platform connects to its database: time-outs on everything, text that hides secrets."""

from typing import Any, Final

from psycopg import AsyncConnection
from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from codestore.domain.secret import Secret

POOL_SIZE: Final = 10
POOL_TIMEOUT: Final = 10.0
"""Seconds to wait for a connection of the pool."""

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

    A connection is asked whether it lives before it is handed out, so a restarted server goes
    unnoticed. Parameters of statements stay out of error texts: they hold sealed keys.
    """
    return create_async_engine(
        sqlalchemy_url(url),
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={**_CONNECT, "options": _PATIENCE},
    )


async def connect(url: Secret) -> AsyncConnection[Any]:
    """Open a connection of its own, outside of the pool, for what lasts: no statement time-out.

    Raises psycopg.OperationalError when the server does not answer.
    """
    return await AsyncConnection.connect(url.reveal(), autocommit=True, **_CONNECT)
