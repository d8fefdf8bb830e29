"""The engine and the session of a request."""

import os
from collections.abc import Iterator
from functools import cache

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import DeclarativeBase, Session


class Base(DeclarativeBase):
    pass


def database_url() -> str:
    """`DATABASE_URL` with the driver named; without one SQLAlchemy takes psycopg2."""
    return os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1)


@cache
def engine() -> Engine:
    return create_engine(database_url(), pool_pre_ping=True)


def session() -> Iterator[Session]:
    with Session(engine()) as found:
        yield found
