"""The tables, in the schema ``codestore``: real columns for what is asked, JSON for the whole.

``data`` is JSON and not JSONB: text that services wrote (the last lines of a failure) may hold
U+0000, which JSONB refuses and JSON keeps as it is. Nothing is ever asked inside of it.
"""

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from codestore.ports import Noun
from codestore.store.shapes import EVENT_FIELDS, SHAPES, Shape

SCHEMA: Final = "codestore"
NEWS: Final = "codestore_news"
"""Told of every deployment that changed or has a new event."""
CHANGES: Final = "codestore_changes"
"""Told of every deployment that changed."""
"""Where PostgreSQL notifies: the payload is the id of a deployment."""

METADATA: Final = MetaData(schema=SCHEMA)

_OPTIONAL = {"environment": ("service", "project"), "deployment": ("project",)}
# Beside the unique ones: what whole scopes are listed by.
_INDEXED = {
    "environment": (("service",), ("project",), ("organization",)),
    "version": (("digest",),),
    "deployment": (("service",), ("project",), ("organization",)),
    "token": (("user",),),
    "key": (("scope", "kind"), ("state",)),
    "data_key": (("organization",),),
    "secret": (("data_key",),),
    "secret_set": (("deployment",), ("data_key",)),
    "verification": (("organization",), ("state",)),
}


def constraint(shape: Shape, fields: tuple[str, ...]) -> str:
    """Return the name of a uniqueness constraint, by which a violation is recognised."""
    return f"{shape.table}_{'_'.join(fields)}_key"


def _table(shape: Shape) -> Table:
    optional = _OPTIONAL.get(shape.word, ())
    return Table(
        shape.table,
        METADATA,
        Column("id", Text, primary_key=True),
        Column("sequence", BigInteger, Identity(always=True), nullable=False, unique=True),
        *(Column(name, Text, nullable=name in optional) for name in shape.fields),
        Column("data", JSON, nullable=False),
        *(UniqueConstraint(*u.fields, name=constraint(shape, u.fields)) for u in shape.unique),
        *(
            Index(f"{shape.table}_{'_'.join(fields)}_idx", *fields)
            for fields in _INDEXED.get(shape.word, ())
        ),
    )


TABLES: Final[dict[type[Noun], Table]] = {kind: _table(shape) for kind, shape in SHAPES.items()}

EVENTS: Final = Table(
    "events",
    METADATA,
    Column("sequence", BigInteger, Identity(always=True), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    *(Column(name, Text, nullable=name in ("organization", "project")) for name in EVENT_FIELDS),
    Column("data", JSON, nullable=False),
    *(Index(f"events_{name}_sequence_idx", name, "sequence") for name in EVENT_FIELDS),
    # Old events are forgotten by age: rows lie on disk in this order, so a tiny index will do.
    Index("events_at_idx", "at", postgresql_using="brin"),
)

AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("organization", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("data", JSON, nullable=False),
)
"""Rows are appended only: a trigger refuses everything else."""

HOURS: Final = Table(
    "hours",
    METADATA,
    # In this order a key is always added at the end of the index, and what is old is found by it.
    Column("start", DateTime(timezone=True), primary_key=True),
    Column("deployment", Text, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("peak", BigInteger, nullable=False),
    Column("requests_by_minute", LargeBinary, nullable=False),
    Column("failures_by_minute", LargeBinary, nullable=False),
)
"""Sums, the most failures in a minute, and 60 numbers each, see :mod:`codestore.store.packing`."""

LOOKS: Final = Table(
    "looks",
    METADATA,
    Column("run", Text, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
)
"""One row: when the counters were last looked at, and in which run of the gateway."""

TOTALS: Final = Table(
    "totals",
    METADATA,
    Column("deployment", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
)
"""What the counters said then."""
