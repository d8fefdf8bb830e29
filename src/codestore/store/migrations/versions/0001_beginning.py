"""The tables of the beginning.

Written out, and not taken from ``store.tables``: those go on changing, this step does not.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SCHEMA = "codestore"


def upgrade() -> None:
    """Create a table for every noun, and the one of events."""
    _nouns("users", "name", "token")
    _unique("users", "name")
    _unique("users", "token")
    for owned in ("services", "projects"):
        _nouns(owned, "organization", "name")
        _unique(owned, "organization", "name")
    _nouns("environments", "service?", "project?", "name")
    _index("environments", "service")
    _index("environments", "project")
    _nouns("versions", "service", "number", "digest")
    _unique("versions", "service", "number")
    _index("versions", "digest")
    _nouns("deployments", "service", "environment", "project?", "kind", "hash")
    _unique("deployments", "hash")
    _unique("deployments", "environment", "service")
    _index("deployments", "service")
    _index("deployments", "project")
    _nouns("keys", "scope", "kind")
    _index("keys", "scope", "kind")
    _events()


def _nouns(table: str, *columns: str) -> None:
    """Create a table; a column whose name ends in ``?`` may be null."""
    op.create_table(
        table,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False, unique=True),
        *(sa.Column(name.rstrip("?"), sa.Text, nullable=name.endswith("?")) for name in columns),
        sa.Column("data", sa.JSON, nullable=False),
        schema=SCHEMA,
    )


def _events() -> None:
    scopes = ("deployment", "service", "organization", "project", "environment")
    op.create_table(
        "events",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *(
            sa.Column(name, sa.Text, nullable=name in ("organization", "project"))
            for name in scopes
        ),
        sa.Column("data", sa.JSON, nullable=False),
        schema=SCHEMA,
    )
    for name in scopes:
        op.create_index(f"events_{name}_sequence_idx", "events", [name, "sequence"], schema=SCHEMA)
    op.create_index("events_at_idx", "events", ["at"], schema=SCHEMA, postgresql_using="brin")


def _unique(table: str, *columns: str) -> None:
    name = f"{table}_{'_'.join(columns)}_key"
    op.create_unique_constraint(name, table, list(columns), schema=SCHEMA)


def _index(table: str, *columns: str) -> None:
    op.create_index(f"{table}_{'_'.join(columns)}_idx", table, list(columns), schema=SCHEMA)
