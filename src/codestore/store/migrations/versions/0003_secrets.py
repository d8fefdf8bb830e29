"""Data keys of organizations, their secrets, and the sets that versions were given."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

SCHEMA = "codestore"


def upgrade() -> None:
    """Create a table for each of the three."""
    _nouns("data_keys", "organization")
    _index("data_keys", "organization")
    _nouns("secrets", "organization", "scope", "key", "data_key")
    op.create_unique_constraint(
        "secrets_organization_scope_key_key",
        "secrets",
        ["organization", "scope", "key"],
        schema=SCHEMA,
    )
    _index("secrets", "data_key")
    _nouns("secret_sets", "organization", "deployment", "data_key")
    _index("secret_sets", "deployment")
    _index("secret_sets", "data_key")


def _nouns(table: str, *columns: str) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False, unique=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in columns),
        sa.Column("data", sa.JSON, nullable=False),
        schema=SCHEMA,
    )


def _index(table: str, column: str) -> None:
    op.create_index(f"{table}_{column}_idx", table, [column], schema=SCHEMA)
