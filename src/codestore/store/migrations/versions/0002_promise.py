"""What is counted of requests: by hour and minute, and the counters that were last seen."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = "codestore"


def upgrade() -> None:
    """Create the tables of hours, of the last look, and of the totals it found."""
    op.create_table(
        "hours",
        sa.Column("start", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("deployment", sa.Text, primary_key=True),
        *_tally(),
        sa.Column("peak", sa.BigInteger, nullable=False),
        sa.Column("requests_by_minute", sa.LargeBinary, nullable=False),
        sa.Column("failures_by_minute", sa.LargeBinary, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "looks",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "totals",
        sa.Column("deployment", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        *_tally(),
        schema=SCHEMA,
    )


def _tally() -> tuple[sa.Column[int], sa.Column[int]]:
    return (
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
    )
