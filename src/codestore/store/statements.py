"""The statements that are made from a noun or an event, and what their violations mean."""

from collections.abc import Iterable
from typing import Any, Final

from psycopg.errors import UniqueViolation
from sqlalchemy import Executable, Text, bindparam, func, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError

from codestore.domain.events import Event
from codestore.domain.services import Service
from codestore.ports import Noun
from codestore.store.codec import encode
from codestore.store.shapes import SHAPES, columns
from codestore.store.tables import EVENTS, TABLES, constraint

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


def upsert(noun: Noun) -> Executable:
    """Insert the noun, or replace the one with its id, which keeps its place in the order."""
    row: dict[str, Any] = {**columns(noun), "data": encode(noun)}
    statement = postgresql.insert(TABLES[type(noun)]).values(row)
    fresh = {name: statement.excluded[name] for name in row if name != "id"}
    return statement.on_conflict_do_update(index_elements=["id"], set_=fresh)


def tell(channel: str, ids: Iterable[str]) -> Executable:
    """Notify those who listen to a channel of deployments, at the commit."""
    listed = bindparam("ids", list(ids), type_=postgresql.ARRAY(Text))
    return select(func.pg_notify(channel, func.unnest(listed)))


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
