"""Brings the tables up to date when the store is opened."""

import asyncio
import importlib
from typing import Final

from psycopg import errors
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from codestore.domain.secret import Secret
from codestore.store.connections import sqlalchemy_url
from codestore.store.errors import translated
from codestore.store.tables import SCHEMA

HEAD: Final = "0006"
"""The newest revision in ``migrations/versions``."""

_REVISION = text(f"SELECT version_num FROM {SCHEMA}.alembic_version")  # noqa: S608 - a constant


async def revision(engine: AsyncEngine) -> str | None:
    """Return the revision of the tables; ``None`` when there are none yet."""
    try:
        async with engine.connect() as connection:
            found: str | None = await connection.scalar(_REVISION)
            return found
    except ProgrammingError as error:
        if isinstance(error.orig, errors.UndefinedTable | errors.InvalidSchemaName):
            return None
        raise


async def bring_up_to_date(engine: AsyncEngine, url: Secret) -> None:
    """Run the migrations that are missing; one question when none is.

    Alembic takes a third of a second to load, so it is loaded only when there is work, in the
    thread that does it. Raises a FAILED fault when the tables are newer than this program.
    """
    with translated():
        if await revision(engine) != HEAD:
            await asyncio.to_thread(_upgrade, url)


def _upgrade(url: Secret) -> None:
    upgrading = importlib.import_module("codestore.store.migrations.upgrading")
    upgrading.upgrade(sqlalchemy_url(url))
