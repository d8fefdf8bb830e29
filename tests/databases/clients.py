"""A service's view of the server, and of its letters."""

import itertools
import os
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any

import psycopg
import pytest

from codestore.databases.postgres import PostgresDatabases
from codestore.domain.faults import Fault
from codestore.domain.secret import Secret

PASSWORD = Secret("sécret %41 /@:?#[]&=+ '\"\\ $")
"""Every character that means something in a URL, in SQL or in a connection string."""

_NUMBERS = itertools.count()


def fresh() -> str:
    """A name nobody has used on this server."""
    return f"t{os.getpid()}_{next(_NUMBERS)}"


def login(
    databases: PostgresDatabases,
    name: str,
    database: str | None = None,
    password: Secret = PASSWORD,
) -> AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]:
    """Connect as a service does, to its own database or to another."""
    settings = {key: value.reveal() for key, value in databases.settings(name, password).items()}
    return _Login(
        host=settings["DATABASE_HOST"],
        port=settings["DATABASE_PORT"],
        user=settings["DATABASE_USERNAME"],
        password=settings["DATABASE_PASSWORD"],
        dbname=database or settings["DATABASE_NAME"],
    )


class _Login(AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]):
    def __init__(self, **where: str) -> None:
        self._where = where

    async def __aenter__(self) -> psycopg.AsyncConnection[Any]:
        self._connection = await psycopg.AsyncConnection.connect(
            autocommit=True,
            **self._where,  # type: ignore[arg-type]
        )
        return self._connection

    async def __aexit__(self, *error: object) -> None:
        await self._connection.close()


async def value(connection: psycopg.AsyncConnection[Any], statement: str) -> Any:
    """The first value a query returns."""
    row = await (await connection.execute(statement.encode())).fetchone()
    assert row is not None
    return row[0]


@contextmanager
def refused(code: str):
    """Expect a fault with this code."""
    with pytest.raises(Fault) as raised:
        yield raised
    assert raised.value.letter.code == code, raised.value
