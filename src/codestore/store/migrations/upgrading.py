"""Runs Alembic's migrations on the platform's database, one process at a time."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, NullPool, create_engine, func, select, text

from codestore.domain.faults import failed
from codestore.store import locks
from codestore.store.tables import SCHEMA

CONNECTION = "connection"
"""Under this name ``env.py`` finds the connection to use."""


def configuration() -> Config:
    """Return Alembic's configuration, which needs no file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


def upgrade(url: URL) -> None:
    """Bring the tables to the newest revision, in one transaction.

    Raises a FAILED fault when they are of a revision that this program does not know.
    """
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    config = configuration()
    with engine.begin() as connection:
        connection.execute(select(func.pg_advisory_xact_lock(locks.MIGRATE)))
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        config.attributes[CONNECTION] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise failed(
                "store_newer",
                "The platform's state is newer than this program",
                f"Its tables cannot be brought up to date: {error}.",
                "Install the codestore that was used last, or a newer one.",
            ) from error
