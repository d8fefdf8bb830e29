"""What was tried from inside each deployment, and which version of the platform ran last."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

SCHEMA = "codestore"


def upgrade() -> None:
    """Create both tables."""
    _nouns("verifications", "organization", "state")
    for name in ("organization", "state"):
        op.create_index(f"verifications_{name}_idx", "verifications", [name], schema=SCHEMA)
    _nouns("releases")


def _nouns(table: str, *columns: str) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False, unique=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in columns),
        sa.Column("data", sa.JSON, nullable=False),
        schema=SCHEMA,
    )
