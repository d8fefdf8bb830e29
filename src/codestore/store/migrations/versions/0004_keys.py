"""Keys that are replaced end by themselves; clients of projects, and how often they called."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

SCHEMA = "codestore"


def upgrade() -> None:
    """Say of each key whether it lasts; create the tables of clients and of their usage."""
    op.add_column(
        "keys",
        sa.Column("state", sa.Text, nullable=False, server_default="current"),
        schema=SCHEMA,
    )
    op.alter_column("keys", "state", server_default=None, schema=SCHEMA)
    op.create_index("keys_state_idx", "keys", ["state"], schema=SCHEMA)
    _table("clients", "project", "email")
    op.create_unique_constraint(
        "clients_project_email_key", "clients", ["project", "email"], schema=SCHEMA
    )
    _table("usages")


def _table(name: str, *fields: str) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False, unique=True),
        *(sa.Column(field, sa.Text, nullable=False) for field in fields),
        sa.Column("data", sa.JSON, nullable=False),
        schema=SCHEMA,
    )
