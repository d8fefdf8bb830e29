"""What both stores know of each noun: its table, what it is found by, and what is unique."""

from collections.abc import Mapping
from dataclasses import dataclass

from codestore.domain.deployments import Deployment
from codestore.domain.environments import Environment
from codestore.domain.faults import Fault, conflict, invalid
from codestore.domain.keys import Client, Key, Usage
from codestore.domain.names import shown
from codestore.domain.people import Organization, Password, Token
from codestore.domain.secrets import DataKey, SealedSecret, SecretSet
from codestore.domain.services import Project, Service, User
from codestore.domain.verification import Release, Verification
from codestore.domain.versions import Version
from codestore.ports import Noun

EVENT_FIELDS = ("deployment", "service", "organization", "project", "environment")
"""What events can be asked by. ``organization`` is the service's when the event is emitted."""


@dataclass(frozen=True, slots=True)
class Unique:
    """Fields that no two nouns of a kind share, and what to say to whoever tries.

    ``sentence`` may name fields in braces: only those that may be shown, so no token and no hash.
    """

    fields: tuple[str, ...]
    sentence: str
    hint: str

    def fault(self, word: str, noun: Noun) -> Fault:
        """Build the CONFLICT fault for a noun whose fields are taken."""
        said = {key: shown(value or "") for key, value in columns(noun).items()}
        detail = self.sentence.format_map(said)
        return conflict(f"{word}_exists", f"{word.capitalize()} exists", detail, self.hint)


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of noun: ``fields`` are the real columns, beside ``id``, that it is found by."""

    word: str
    fields: tuple[str, ...]
    unique: tuple[Unique, ...] = ()

    @property
    def table(self) -> str:
        """The name of its table."""
        return f"{self.word}s"


_ANOTHER = "Choose another name."
_DRAWN = "Try again: it is drawn at random."

SHAPES: dict[type[Noun], Shape] = {
    User: Shape(
        "user",
        ("organization", "name", "email"),
        (
            Unique(
                ("organization", "name"),
                "{organization} has a user called {name} already.",
                _ANOTHER,
            ),
        ),
    ),
    Organization: Shape("organization", ()),
    Token: Shape(
        "token",
        ("user", "digest"),
        (Unique(("digest",), "Somebody has this token already.", _DRAWN),),
    ),
    Password: Shape("password", ()),
    Service: Shape(
        "service",
        ("organization", "name"),
        (
            Unique(
                ("organization", "name"),
                "{organization} has a service called {name} already.",
                _ANOTHER,
            ),
        ),
    ),
    Project: Shape(
        "project",
        ("organization", "name"),
        (
            Unique(
                ("organization", "name"),
                "{organization} has a project called {name} already.",
                _ANOTHER,
            ),
        ),
    ),
    Environment: Shape("environment", ("organization", "service", "project", "name")),
    Version: Shape(
        "version",
        ("service", "number", "digest"),
        (
            Unique(
                ("service", "number"),
                "Version {number} of this service exists already.",
                "Push again: it gets the next number.",
            ),
        ),
    ),
    Deployment: Shape(
        "deployment",
        ("organization", "service", "environment", "project", "kind", "hash"),
        (
            Unique(("hash",), "This place in URLs is taken already.", _DRAWN),
            Unique(
                ("environment", "service"),
                "This service is deployed in this environment ({kind}) already.",
                "Change that deployment instead: promote a version to it, or roll it.",
            ),
        ),
    ),
    DataKey: Shape("data_key", ("organization",)),
    SealedSecret: Shape(
        "secret",
        ("organization", "scope", "key", "data_key"),
        (
            Unique(
                ("organization", "scope", "key"),
                "{key} is set there already.",
                "cs secret:update changes it.",
            ),
        ),
    ),
    SecretSet: Shape("secret_set", ("organization", "deployment", "data_key")),
    Key: Shape("key", ("scope", "kind", "state")),
    Client: Shape(
        "client",
        ("project", "email"),
        (
            Unique(
                ("project", "email"),
                "This project has a client {email} already.",
                "cs project:client:list shows them; cs key:rotate gives it a new key.",
            ),
        ),
    ),
    Usage: Shape("usage", ()),
    Verification: Shape("verification", ("organization", "state")),
    Release: Shape("release", ()),
}


def columns(noun: Noun) -> dict[str, str | None]:
    """Return the values of a noun's real columns, ``id`` among them."""
    found = {name: getattr(noun, name) for name in ("id", *SHAPES[type(noun)].fields)}
    return {name: None if value is None else str(value) for name, value in found.items()}


def filters(kind: type[Noun]) -> tuple[str, ...]:
    """Return what nouns of a kind can be asked by."""
    return ("id", *SHAPES[kind].fields)


def check_filters(equal: Mapping[str, str], fields: tuple[str, ...]) -> None:
    """Raise ValueError for a filter that is not one of ``fields``."""
    unknown = sorted(equal.keys() - set(fields))
    if unknown:
        raise ValueError(f"cannot find by {', '.join(unknown)}; only by {', '.join(fields)}")


def lost_page(word: str, after: str) -> Fault:
    """Build the fault for a page that starts after a row which is no longer there."""
    return invalid(
        "page_lost",
        "The list has changed",
        f"There is no {word} {shown(after)} any more, after which this page would start.",
        hint="List from the beginning.",
    )
