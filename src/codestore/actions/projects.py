"""Projects: create, delete, and the services in them: add, promote, roll, remove."""

from dataclasses import dataclass, replace

from codestore.actions.holds import require_free, rolled, unmarked
from codestore.actions.office import (
    Office,
    emit_asked,
    find_deployment,
    find_project,
    find_service,
)
from codestore.actions.places import Found, inclusion, members, require_inclusion
from codestore.actions.services import born, find_version, nothing_live, refuse_same
from codestore.actions.undoing import roll_back
from codestore.domain.canary import Canary
from codestore.domain.deployments import Deployment, doomed, require_idle, retargeted
from codestore.domain.environments import POLICIES, PROJECT_KINDS, Environment, Kind, project_kind
from codestore.domain.faults import conflict, invalid
from codestore.domain.keys import Client, Key, Usage
from codestore.domain.names import check_name
from codestore.domain.overrides import Override
from codestore.domain.services import Project, Service, User
from codestore.domain.versions import Version
from codestore.safe import Safe

DESCRIPTION_LIMIT = 1_000  # characters


@dataclass(frozen=True, slots=True)
class Entry:
    """How a promotion is let in: as a canary, all at once, or (``None``) as the manifest says.

    ``force``: also a version that was left behind there.
    """

    canary: bool | None = None
    force: bool = False


AS_THE_MANIFEST_SAYS = Entry()


@dataclass(frozen=True, slots=True)
class Included:
    """An accepted change of a service in a project."""

    project: Project
    service: Service
    deployments: tuple[Deployment, ...]
    undo: str


async def create_project(office: Office, user: User, name: str, description: str) -> Project:
    """Make a project with its developer key and its three environments, empty."""
    check_name("project", name)
    half = any("\ud800" <= letter <= "\udfff" for letter in description)  # JSON allows surrogates
    if len(description) > DESCRIPTION_LIMIT or "\0" in description or half:
        raise invalid(
            "bad_description",
            "Description refused",
            f"A description is plain text of at most {DESCRIPTION_LIMIT} characters.",
        )
    project = Project(
        office.new_id("prj"), name, description, user.id, user.organization, office.clock.now()
    )
    environments = [
        Environment(
            office.new_id("env"),
            kind.value,
            kind,
            project=project.id,
            organization=user.organization,
        )
        for kind in PROJECT_KINDS
    ]
    async with office.store.begin() as records:
        await records.put(project, *environments, office.new_key(project.id))
        await office.audit(records, user, "project:create", name)
    return project


async def delete_project(office: Office, user: User, ref: str) -> Project:
    """Delete a project. Refused while services are inside: their data would be lost."""
    async with office.store.begin() as records:
        project = await find_project(records, user, ref)
        safe = await Safe.unlock(records, office.keyring, office.clock, project.organization)
        inside = await records.find(Deployment, project=project.id)
        if inside:
            services = {held.service for held in inside}
            raise conflict(
                "project_not_empty",
                "Services are inside",
                f"{project.name} includes {len(services)} service(s) with their data.",
                f"Exclude them first: cs project:service:remove {project.name} SERVICE",
            )
        environments = await records.find(Environment, project=project.id)
        keys = await records.find(Key, scope=project.id)
        clients = await records.find(Client, project=project.id)
        used = [Usage(client.id) for client in clients]
        await records.remove(*used, *clients, *keys, *environments, project)
        await records.remove(*await safe.of_project(project.id))
        await office.audit(records, user, "project:delete", project.name)
    return project


async def include(office: Office, user: User, ref: str, service_ref: str) -> Included:
    """Include the public version of a service in all environments, each with its own database."""
    async with office.store.begin() as records:
        project = await find_project(records, user, ref)
        service = await find_service(records, user, service_ref)
        if await inclusion(records, project, service):
            raise conflict(
                "already_included",
                "Included already",
                f"{project.name} includes {service.name} already (or is just removing it).",
                f"cs project:service:info {project.name} {service.name}",
            )
        demo = await find_deployment(records, service, Kind.DEMO.value)
        await records.get(Deployment, demo.id)  # held, so that nobody removes the service meanwhile
        require_idle(demo)
        version = await find_version(records, service, "latest", published=True)
        wish = office.wish(user, f"include {service.name} {version.number} in {project.name}")
        environments = await records.find(Environment, project=project.id)
        deployments = tuple(born(office, service, held, version, wish) for held in environments)
        await records.put(*deployments)
        await emit_asked(records, wish, *deployments)
        await office.audit(
            records, user, "project:service:add", _path(project, service), wish.reason
        )
    undo = f"cs project:service:remove {project.name} {service.name} --yes"
    return Included(project, service, deployments, undo)


async def promote_in_project(
    office: Office,
    user: User,
    ref: str,
    service_ref: str,
    to: str,
    entry: Entry = AS_THE_MANIFEST_SAYS,
) -> Included:
    """Put the version of the environment before on ``to``: development takes it from demo."""
    kind = project_kind(to)
    async with office.store.begin() as records:
        project, service, held = await members(records, user, ref, service_ref)
        demo = await find_deployment(records, service, Kind.DEMO.value)
    async with office.change(demo, *held.values()) as records:
        held = await require_inclusion(records, project, service)
        target = held[kind]
        source = held.get(POLICIES[kind].source or Kind.DEMO)
        if source is None:
            source = await find_deployment(records, service, Kind.DEMO.value)
        require_idle(source)
        require_idle(target)
        live = source.status.live
        if live is None:
            raise nothing_live(service, source)
        refuse_same(target, live.number, f"{source.kind} has the same version.")
        require_free(Found(service, project, target), live.number, force=entry.force)
        version = await find_version(records, service, live.number, published=False)
        wish = office.wish(user, f"promote {service.name} {live.number} to {to}")
        wish = replace(wish, canary=_canary(version, kind, entry))
        after = unmarked(retargeted(target, live.number, live.digest, wish), live.number)
        await records.put(after)
        await emit_asked(records, wish, after)
        await office.audit(
            records, user, "project:service:promote", _path(project, service), wish.reason
        )
    return Included(project, service, (after,), roll_back(Found(service, project, target)))


def _canary(version: Version, kind: Kind, entry: Entry) -> Canary | None:
    """Return how a version is let in; with ``--canary`` as usual if its manifest says nothing."""
    if entry.canary is False:
        return None
    said = version.seal.manifest.overrides.get(kind, Override()).canary
    return said or (Canary() if entry.canary else None)


async def roll_in_project(
    office: Office, user: User, ref: str, service_ref: str, to: tuple[str, str]
) -> Included:
    """Put a published version, earlier or later, in an environment: ``to`` is (name, number).

    Also where it is held: a person says where to go. A way back stays put (see ``rolled``).
    """
    kind = project_kind(to[0])
    async with office.store.begin() as records:
        project, service, held = await members(records, user, ref, service_ref)
    async with office.change(held[kind]) as records:
        target = (await require_inclusion(records, project, service))[kind]
        version = await find_version(records, service, to[1], published=True)
        require_idle(target)
        refuse_same(target, version.number, f"cs version:list {service.name}")
        wish = office.wish(user, f"roll {service.name} on {kind} to {version.number}")
        after, told = rolled(target, version, wish)
        await records.put(after)
        await emit_asked(records, wish, after)
        await records.emit(*told)
        await office.audit(
            records, user, "project:service:roll", _path(project, service), wish.reason
        )
    return Included(project, service, (after,), roll_back(Found(service, project, target)))


async def exclude(office: Office, user: User, ref: str, service_ref: str) -> Included:
    """Remove a service from a project, with its databases there."""
    async with office.store.begin() as records:
        project, service, held = await members(records, user, ref, service_ref)
    async with office.change(*held.values()) as records:
        held = await require_inclusion(records, project, service)
        wish = office.wish(user, f"remove {service.name} from {project.name}")
        after = tuple(doomed(deployment, wish) for deployment in held.values())
        await records.put(*after)
        await emit_asked(records, wish, *after)
        await office.audit(
            records, user, "project:service:remove", _path(project, service), wish.reason
        )
    undo = f"cs project:service:add {project.name} {service.name}"
    return Included(project, service, after, undo)


def _path(project: Project, service: Service) -> str:
    return f"{project.name}/{service.name}"
