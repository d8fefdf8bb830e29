"""Bringing the platform's tables up to date, once per start, under a lock."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, make_url, text
from sqlalchemy.pool import NullPool

from codestore.domain.secret import Secret
from codestore.store.tables import SCHEMA

MIGRATIONS = Path(__file__).with_name("migrations")
MIGRATION_LOCK = 0x6D6967726174  # "migrat"


def migrate(url: Secret) -> None:
    """Create or upgrade the tables; nothing is touched when they are up to date."""
    address = make_url(url.reveal()).set(drivername="postgresql+psycopg")
    engine = create_engine(address, poolclass=NullPool, hide_parameters=True)
    with engine.begin() as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        head = ScriptDirectory.from_config(config).get_current_head()
        if _current(connection) == head:
            return
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version", schema=SCHEMA):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {SCHEMA}.alembic_version"))  # noqa: S608 - a constant
    return str(found.scalar())
