"""Services, projects and people: who made what, and who may reach it."""

from dataclasses import dataclass
from datetime import datetime

from codestore.domain.faults import Fault, FaultKind, Letter
from codestore.domain.roles import Role


@dataclass(frozen=True, slots=True)
class User:
    """A person. ``organization`` owns what they make.

    ``email`` is how an OpenID provider knows them, empty when they have a local account only;
    ``subject`` is what it calls them, empty until they have logged in by it.
    """

    id: str
    name: str
    organization: str
    role: Role
    email: str = ""
    subject: str = ""


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


def require_owner(service: Service, user: User, act: str) -> None:
    """Only the maker reaches a service's private environment."""
    if user.id != service.owner:
        raise _not_yours(service.name, act, "Ask its owner, or make a service of your own.")


def require_project_owner(project: Project, user: User, act: str) -> None:
    """Only the maker of a project handles its keys."""
    if user.id != project.owner:
        raise _not_yours(project.name, act, "Ask its owner.")


def _not_yours(name: str, act: str, hint: str) -> Fault:
    detail = f"Only the owner of {name} may {act}."
    return Fault(Letter(FaultKind.FORBIDDEN, "not_owner", "Not yours", detail, hint))
