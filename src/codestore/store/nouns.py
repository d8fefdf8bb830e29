"""How each noun is kept: its table, what can be asked for, what must be unique, and its JSON."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import TypeAdapter

from codestore.domain.deployments import Deployment
from codestore.domain.environments import Environment
from codestore.domain.events import Event
from codestore.domain.faults import Fault, conflict
from codestore.domain.services import Key, Project, Service, User
from codestore.domain.versions import Version
from codestore.ports import Noun


@dataclass(frozen=True, slots=True)
class Shape:
    """A noun's table: columns that can be asked for, and sets of them that are unique."""

    table: str
    columns: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...] = ()

    @property
    def word(self) -> str:
        """The noun's name in faults."""
        return self.table.removesuffix("s")


SHAPES: dict[type[Noun], Shape] = {
    User: Shape("users", ("token", "name", "organization"), (("token",), ("name",))),
    Service: Shape("services", ("organization", "name"), (("organization", "name"),)),
    Project: Shape("projects", ("organization", "name"), (("organization", "name"),)),
    Environment: Shape("environments", ("service", "project", "name")),
    Version: Shape("versions", ("service", "number"), (("service", "number"),)),
    Deployment: Shape(
        "deployments",
        ("service", "environment", "project", "kind", "hash"),
        (("hash",), ("environment", "service")),
    ),
    Key: Shape("keys", ("scope", "kind")),
}
EVENT_COLUMNS = ("deployment", "service", "environment", "project")
_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (*SHAPES, Event)
}


def shape_of(kind: type[Noun]) -> Shape:
    """Return how a noun is kept."""
    return SHAPES[kind]


def check_filter(columns: tuple[str, ...], equal: dict[str, str]) -> None:
    """Refuse a question that the tables cannot answer: a mistake of ours."""
    unknown = set(equal) - {"id", *columns}
    if unknown:
        raise ValueError(f"cannot be asked for: {', '.join(sorted(unknown))}")


def column_values(noun: object, columns: tuple[str, ...]) -> dict[str, str | None]:
    """Return the values of a noun's columns, as text."""
    return {name: _text(getattr(noun, name)) for name in columns}


def to_json(value: object) -> dict[str, Any]:
    """Return a noun (or an event) as JSON-ready data."""
    dumped: dict[str, Any] = _ADAPTERS[type(value)].dump_python(value, mode="json")
    return dumped


def from_json(kind: type[Any], data: Any) -> Any:
    """Return the noun that :func:`to_json` made this of."""
    return _ADAPTERS[kind].validate_python(data)


def taken(shape: Shape, names: tuple[str, ...]) -> Fault:
    """Return the fault for a value that must be unique and is not."""
    return conflict(
        f"{shape.word}_exists",
        f"The {shape.word} exists already",
        f"There is a {shape.word} with this {' and '.join(names)} already.",
        "Choose another name, or use the one there is.",
    )


def _text(value: object) -> str | None:
    if value is None:
        return None
    return str(value.value) if isinstance(value, Enum) else str(value)
