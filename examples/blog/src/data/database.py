"""The service's database: one pool, opened by the first query."""

import functools
import os
from typing import Any

from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool


@functools.cache
def _pool() -> ConnectionPool[Any]:
    # Not at import: a process may be copied after it has imported the service, and a connection
    # must not be.
    return ConnectionPool(
        os.environ["DATABASE_URL"],
        kwargs={"row_factory": dict_row},
        min_size=0,
        max_size=10,
        check=ConnectionPool.check_connection,
        open=True,
    )


def rows(query: str, *parameters: Any) -> list[DictRow]:
    """Run one statement in a transaction of its own and return its rows."""
    with _pool().connection() as connection:
        return connection.execute(query, parameters).fetchall()
