"""Nouns and events as JSON, through pydantic.

Every kind has one adapter, built when this module is loaded. What :func:`encode` returns holds
only strings, numbers, lists and objects; :func:`decode` gives an equal value back.
"""

from typing import Any, TypeVar

from pydantic import TypeAdapter

from codestore.domain.audit import Entry
from codestore.domain.events import Event
from codestore.ports import Noun
from codestore.store.shapes import SHAPES

T = TypeVar("T")

_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (*SHAPES, Event, Entry)
}


def encode(value: Noun | Event | Entry) -> dict[str, Any]:
    """Return the whole value as JSON's types."""
    encoded: dict[str, Any] = _ADAPTERS[type(value)].dump_python(value, mode="json")
    return encoded


def decode(kind: type[T], data: Any) -> T:
    """Return the value :func:`encode` was given. Raises ValueError for any other data,
    and KeyError for a kind that is neither a noun nor an event or entry."""
    value: T = _ADAPTERS[kind].validate_python(data)
    return value
