"""Where a deployment is: the services in projects, and one deployment by the words for it."""

from dataclasses import dataclass

from codestore.actions.office import find_deployment, find_project, find_service
from codestore.domain.deployments import Deployment
from codestore.domain.environments import PROJECT_KINDS, Kind
from codestore.domain.faults import invalid, not_found
from codestore.domain.names import shown
from codestore.domain.services import Project, Service, User, require_owner
from codestore.ports import Records


@dataclass(frozen=True, slots=True)
class Place:
    """Where a deployment is, in the words of whoever asks: names or ids.

    ``owner`` is a project, or the service itself for its own environments.
    """

    owner: str
    environment: str
    service: str


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a place; ``project`` is ``None`` in a service's own environments."""

    service: Service
    project: Project | None
    deployment: Deployment

    @property
    def path(self) -> str:
        """Where it is, for the audit log: ``shop/blog/production`` or ``blog/private``."""
        owner = f"{self.project.name}/" if self.project is not None else ""
        return f"{owner}{self.service.name}/{self.deployment.kind}"

    @property
    def arguments(self) -> str:
        """The words by which a command names this place."""
        owner = f"{self.project.name} " if self.project is not None else ""
        return f"{owner}{self.service.name} --env {self.deployment.kind}"


async def find_place(records: Records, user: User, place: Place, act: str | None = None) -> Found:
    """Return what is at a place.

    To ``act`` in a service's own environments is its owner's, and so is to look at the private one.
    """
    kind = kind_of(place.environment)
    if kind in PROJECT_KINDS:
        project, service, held = await members(records, user, place.owner, place.service)
        return Found(service, project, held[kind])
    service = await find_service(records, user, place.service)
    owner = await find_service(records, user, place.owner)
    if owner.id != service.id:
        raise not_found(
            "deployment",
            f"{owner.name}/{kind}/{service.name}",
            f"In {kind} of {owner.name} there is {owner.name} alone.",
        )
    if act is not None or kind is Kind.PRIVATE:
        require_owner(service, user, act or "look at its private environment")
    return Found(service, None, await find_deployment(records, service, kind.value))


async def inclusion(records: Records, project: Project, service: Service) -> dict[Kind, Deployment]:
    """Return the deployments of a service in a project, by kind of environment."""
    found = await records.find(Deployment, project=project.id, service=service.id)
    return {held.kind: held for held in found}


async def require_inclusion(
    records: Records, project: Project, service: Service
) -> dict[Kind, Deployment]:
    """Return them; raise a Fault when the project does not include the service."""
    held = await inclusion(records, project, service)
    if len(held) < len(PROJECT_KINDS):
        raise not_found(
            "service in this project",
            f"{project.name}/{service.name}",
            f"cs project:service:add {project.name} {service.name}",
        )
    return held


async def members(
    records: Records, user: User, ref: str, service_ref: str
) -> tuple[Project, Service, dict[Kind, Deployment]]:
    """Return a project, a service that it includes, and the deployments of it there."""
    project = await find_project(records, user, ref)
    service = await find_service(records, user, service_ref)
    return project, service, await require_inclusion(records, project, service)


def kind_of(name: str) -> Kind:
    """Return the kind of environment called ``name``; raise a Fault that lists them otherwise."""
    try:
        return Kind(name)
    except ValueError as error:
        raise invalid(
            "bad_environment",
            "No such environment",
            f'"{shown(name)}" is not an environment.',
            hint=f"Use one of {', '.join(kind.value for kind in Kind)}.",
        ) from error
