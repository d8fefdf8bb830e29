"""Services, projects, keys and people: who made what, and who may reach it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from codestore.domain.faults import Fault, FaultKind, Letter, not_found


@dataclass(frozen=True, slots=True)
class User:
    """A person. ``organization`` owns what they make; ``token`` is the SHA-256 of theirs, hex."""

    id: str
    name: str
    organization: str
    token: str


@dataclass(frozen=True, slots=True)
class Service:
    """A small backend with one job, made by ``owner``."""

    id: str
    name: str
    owner: str
    organization: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Project:
    """An application that reuses services."""

    id: str
    name: str
    description: str
    owner: str
    organization: str
    created_at: datetime


class KeyKind(StrEnum):
    """What a key opens: everything of its scope, or production only."""

    DEVELOPER = "developer"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Key:
    """A key for ``x-user-authorization``. ``scope`` is a service's or project's id.

    ``sealed`` opens only with the platform's master key; the plain value is stored nowhere.
    """

    id: str
    scope: str
    kind: KeyKind
    sealed: str
    created_at: datetime


def require_member(what: str, name: str, organization: str, user: User) -> None:
    """Hide what belongs to another organization: it does not exist for this user."""
    if user.organization != organization:
        raise not_found(what, name)


def require_owner(service: Service, user: User, act: str) -> None:
    """Only the maker reaches a service's private environment."""
    if user.id != service.owner:
        raise Fault(
            Letter(
                FaultKind.FORBIDDEN,
                "not_owner",
                "Not yours",
                f"Only the owner of {service.name} may {act}.",
                "Ask its owner, or make a service of your own.",
            )
        )
