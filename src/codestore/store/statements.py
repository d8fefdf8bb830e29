"""The statements that are made from a noun or an event, and what their violations mean."""

from collections.abc import Collection
from functools import cache
from typing import Any, Final

from psycopg.errors import UniqueViolation
from sqlalchemy import (
    ColumnElement,
    Executable,
    Select,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError

from codestore.domain.events import Event
from codestore.domain.services import Service
from codestore.ports import Noun
from codestore.store import locks
from codestore.store.codec import encode
from codestore.store.shapes import SHAPES, columns
from codestore.store.tables import CHANGES, EVENTS, NEWS, TABLES, constraint

_SERVICES = TABLES[Service]

INSERT_EVENT: Final = insert(EVENTS).values(
    # Kept beside the event, because it outlives its service.
    organization=select(_SERVICES.c.organization)
    .where(_SERVICES.c.id == bindparam("of_service"))
    .scalar_subquery()
)
"""Takes rows made by :func:`event_row`."""


def event_row(event: Event) -> dict[str, Any]:
    """Return the parameters of ``INSERT_EVENT``; the number is the database's to give."""
    return {
        "deployment": event.deployment,
        "service": event.service,
        "environment": event.environment,
        "project": event.project,
        "at": event.at,
        "data": encode(event),
        "of_service": event.service,
    }


def row_of(noun: Noun) -> dict[str, Any]:
    """Return the parameters of ``UPSERT`` for a noun."""
    return {**columns(noun), "data": encode(noun)}


def upsert(table: Table) -> Executable:
    """Insert rows, or replace those with the same key, which keep their place in the order."""
    statement = postgresql.insert(table)
    keys = [column.name for column in table.primary_key]
    given = [c for c in table.columns if not c.primary_key and c.identity is None]
    fresh = {c.name: statement.excluded[c.name] for c in given}
    return statement.on_conflict_do_update(index_elements=keys, set_=fresh)


UPSERT: Final = {kind: upsert(table) for kind, table in TABLES.items()}
"""Takes rows made by :func:`row_of`."""
LOCK_EVENTS: Final = select(func.pg_advisory_xact_lock(locks.EVENTS))
_TOLD: Final = (
    func.unnest(
        bindparam("channels", type_=postgresql.ARRAY(Text)),
        bindparam("ids", type_=postgresql.ARRAY(Text)),
    )
    .table_valued("channel", "id")
    .render_derived()
)
TELL: Final = select(func.pg_notify(_TOLD.c.channel, _TOLD.c.id))
"""Takes what :func:`news` makes; those who listen hear of it at the commit."""


def news(changed: Collection[str], spoken_of: Collection[str]) -> dict[str, list[str]]:
    """Return whom to tell of which deployments: those that changed are news as well."""
    told = [(CHANGES, id_) for id_ in changed]
    told += [(NEWS, id_) for id_ in dict.fromkeys((*changed, *spoken_of))]
    return {"channels": [channel for channel, _ in told], "ids": [id_ for _, id_ in told]}


@cache
def by(table: Table, *names: str) -> Select[Any]:
    """Return the question for the nouns whose columns have some values, in their order."""
    query = select(table.c.data).order_by(table.c.sequence)
    return query.where(*(table.c[name] == bindparam(name) for name in names))


def texts(values: Collection[str]) -> ColumnElement[Any]:
    """Return a list of texts as a value, for ``= ANY``."""
    return bindparam(None, list(values), type_=postgresql.ARRAY(Text))


def taken(noun: Noun, error: IntegrityError) -> Exception:
    """Return the CONFLICT fault for a violated uniqueness, any other error as it is."""
    shape = SHAPES[type(noun)]
    if isinstance(error.orig, UniqueViolation):
        violated = error.orig.diag.constraint_name
        for unique in shape.unique:
            if constraint(shape, unique.fields) == violated:
                return unique.fault(shape.word, noun)
    return error


def storable(text: str) -> bool:
    """Whether a text column can hold this; what it cannot hold is never found, and no error."""
    return "\0" not in text and text.encode("utf-8", "ignore").decode() == text
