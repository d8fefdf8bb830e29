"""Services, projects and people: who made what, and who may reach it."""

from dataclasses import dataclass
from datetime import datetime

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


def require_project_owner(project: Project, user: User, act: str) -> None:
    """Only the maker of a project handles its keys."""
    if user.id != project.owner:
        raise Fault(
            Letter(
                FaultKind.FORBIDDEN,
                "not_owner",
                "Not yours",
                f"Only the owner of {project.name} may {act}.",
                "Ask its owner.",
            )
        )
