"""Every question the edges ask: services, projects, versions, environments, events, logs."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from codestore.actions.office import Office, find_project, find_service
from codestore.actions.places import kind_of
from codestore.domain.deployments import Deployment
from codestore.domain.environments import PROJECT_KINDS, Environment, Kind
from codestore.domain.events import Event
from codestore.domain.faults import not_found
from codestore.domain.instances import LogLine
from codestore.domain.keys import Key, KeyKind
from codestore.domain.manifest import Manifest
from codestore.domain.names import shown
from codestore.domain.secret import Secret
from codestore.domain.services import Project, Service, User, require_owner
from codestore.domain.versions import Version
from codestore.ports import Page, Records

MAX_LOG_LINES = 10_000


@dataclass(frozen=True, slots=True)
class Seen:
    """A deployment with what is needed to show it.

    ``key`` is ``None`` when you may not see it, ``database`` when the version wants none. The
    manifest is that of the version that is wanted. ``open`` is whether you may reach it: a
    service's private environment is its owner's alone.
    """

    deployment: Deployment
    service: Service
    environment: Environment
    key: Secret | None
    database: str | None
    manifest: Manifest | None
    open: bool = True


@dataclass(frozen=True, slots=True)
class Placed:
    """A deployment and the names of where it is; ``project`` is empty where there is none."""

    deployment: Deployment
    service: str
    environment: str
    project: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deployments a question is about; names or ids, ``None`` for all."""

    service: str | None = None
    project: str | None = None
    environment: str | None = None


async def service_detail(office: Office, user: User, ref: str) -> tuple[Service, list[Seen]]:
    """Return a service and its two deployments."""
    async with office.store.begin() as records:
        service = await find_service(records, user, ref)
        return service, await service_deployments(office, records, user, service)


async def service_deployments(
    office: Office, records: Records, user: User, service: Service
) -> list[Seen]:
    """Return the deployments in the service's own environments."""
    environments = await records.find(Environment, service=service.id)
    held = await records.find(Deployment, service=service.id)
    by_environment = {deployment.environment: deployment for deployment in held}
    pairs = [
        (by_environment[environment.id], environment)
        for environment in environments
        if environment.id in by_environment
    ]
    return [await _seen(office, records, user, pair, service) for pair in pairs]


async def project_detail(office: Office, user: User, ref: str) -> tuple[Project, list[Seen]]:
    """Return a project and everything deployed in it."""
    async with office.store.begin() as records:
        project = await find_project(records, user, ref)
        held = await records.find(Deployment, project=project.id)
        return project, [await see(office, records, user, deployment) for deployment in held]


async def project_environments(office: Office, project: Project) -> list[Environment]:
    """Return the environments of a project, in the order of promotion."""
    async with office.store.begin() as records:
        return await records.find(Environment, project=project.id)


async def project_key(office: Office, user: User, project: Project) -> Secret | None:
    """Return the developer key of a project to its owner."""
    async with office.store.begin() as records:
        return await _developer_key(office, records, project.id, project.owner == user.id)


async def services(office: Office, user: User, page: Page) -> list[Service]:
    """Return the services of the user's organization."""
    async with office.store.begin() as records:
        return await records.find(Service, page, organization=user.organization)


async def projects(office: Office, user: User, page: Page) -> list[Project]:
    """Return the projects of the user's organization."""
    async with office.store.begin() as records:
        return await records.find(Project, page, organization=user.organization)


async def versions(
    office: Office, user: User, ref: str, page: Page
) -> tuple[Service, list[Version], str | None]:
    """Return a service's versions, and the number of the public one."""
    async with office.store.begin() as records:
        service = await find_service(records, user, ref)
        found = await records.find(Version, page, service=service.id)
        demos = await records.find(Deployment, service=service.id, kind=Kind.DEMO.value)
        live = demos[0].status.live if demos else None
        return service, found, live.number if live else None


async def source(
    office: Office, user: User, ref: str, number: str | None
) -> tuple[Version, AsyncIterator[bytes]]:
    """Return a version (the newest by default) and its source, to its owner."""
    async with office.store.begin() as records:
        service = await find_service(records, user, ref)
        require_owner(service, user, "fetch its source")
        found = await records.find(Version, service=service.id)
        if number == "latest":
            found = [held for held in found if held.published_at is not None]
        elif number is not None:
            found = [held for held in found if held.number == number]
    if not found:
        raise not_found("version", f"{service.name} {shown(number or '')}", "cs version:list")
    return found[-1], office.builder.source(found[-1].seal)


async def select(office: Office, user: User, chosen: Selection) -> list[Seen]:
    """Return the deployments a question is about, of the user's organization.

    Private ones of other people are left out; a question about nothing else is refused.
    """
    equal: dict[str, str] = {}
    async with office.store.begin() as records:
        if chosen.service is not None:
            equal["service"] = (await find_service(records, user, chosen.service)).id
        if chosen.project is not None:
            equal["project"] = (await find_project(records, user, chosen.project)).id
        if chosen.environment is not None:
            equal["kind"] = kind_of(chosen.environment).value
        found = await records.find(Deployment, organization=user.organization, **equal)
        if chosen.project is None and chosen.service is not None:
            found = [held for held in found if held.project is None]
        seen = [await see(office, records, user, held) for held in found]
    reached = [held for held in seen if held.open]
    if seen and not reached:
        require_owner(seen[0].service, user, "look into its private environment")
    return reached


async def census(office: Office, user: User, **equal: str) -> list[Placed]:
    """Return every deployment of the user's organization, in a handful of questions for all.

    Or only those whose fields equal the values given.
    """
    async with office.store.begin() as records:
        services_ = await records.find(Service, organization=user.organization)
        projects_ = await records.find(Project, organization=user.organization)
        environments = await records.find(Environment, organization=user.organization)
        environments_ = {held.id: held.name for held in environments}
        found = await records.find(Deployment, organization=user.organization, **equal)
    names = {held.id: held.name for held in services_}
    names |= {held.id: held.name for held in projects_}
    return [
        Placed(
            held,
            names[held.service],
            environments_.get(held.environment, held.kind.value),
            names.get(held.project or "", ""),
        )
        for held in found
        if held.service in names
    ]


async def see(office: Office, records: Records, user: User, deployment: Deployment) -> Seen:
    """Return a deployment with its service, environment and the key this user may see."""
    service = await records.get(Service, deployment.service)
    environment = await records.get(Environment, deployment.environment)
    if service is None or environment is None:
        raise not_found("deployment", deployment.id)
    return await _seen(office, records, user, (deployment, environment), service)


async def _seen(
    office: Office,
    records: Records,
    user: User,
    pair: tuple[Deployment, Environment],
    service: Service,
) -> Seen:
    deployment, environment = pair
    key = None
    if deployment.project is not None:
        project = await records.get(Project, deployment.project)
        owner = project.owner if project else ""
        key = await _developer_key(office, records, deployment.project, owner == user.id)
    elif deployment.kind is Kind.PRIVATE:
        key = await _developer_key(office, records, service.id, service.owner == user.id)
    found = await records.find(Version, service=service.id, number=deployment.spec.number)
    manifest = found[0].seal.manifest if found else None
    reached = deployment.kind is not Kind.PRIVATE or service.owner == user.id
    wanted = manifest is None or manifest.database
    database = deployment.database if wanted and reached else None
    return Seen(deployment, service, environment, key, database, manifest, reached)


async def _developer_key(
    office: Office, records: Records, scope: str, allowed: bool
) -> Secret | None:
    if not allowed:
        return None
    keys = await records.find(Key, scope=scope, kind=KeyKind.DEVELOPER.value)
    return office.vault.open(keys[-1].sealed) if keys else None


async def environments(
    office: Office, user: User, page: Page
) -> tuple[list[tuple[str, Environment]], str | None]:
    """Return environments with the name of what each belongs to, and where the next page starts."""
    async with office.store.begin() as records:
        services_ = await records.find(Service, organization=user.organization)
        projects_ = await records.find(Project, organization=user.organization)
        owners = {held.id: held.name for held in services_}
        owners |= {held.id: held.name for held in projects_}
        found = await records.find(Environment, page, organization=user.organization)
    pairs = [(owners.get(str(held.service or held.project)), held) for held in found]
    return [(name, held) for name, held in pairs if name is not None], page.following(found)


async def environment(
    office: Office, user: User, owner: str, name: str
) -> tuple[str, Environment, list[Seen]]:
    """Return an environment of a project or service, with everything deployed in it."""
    async with office.store.begin() as records:
        of_project = name in [kind.value for kind in PROJECT_KINDS]
        if of_project:
            project = await find_project(records, user, owner)
            title, scope = project.name, {"project": project.id}
        else:
            service = await find_service(records, user, owner)
            title, scope = service.name, {"service": service.id}
        found = await records.find(Environment, name=name, **scope)
        if not found:
            raise not_found("environment", f"{title}/{shown(name)}", "cs env:list")
        held = await records.find(Deployment, environment=found[0].id)
        return title, found[0], [await see(office, records, user, each) for each in held]


async def events(
    office: Office, user: User, chosen: Selection, after: int | None, limit: int
) -> list[tuple[Seen, Event]]:
    """Return events after a sequence number, or the newest ones."""
    seen = {held.deployment.id: held for held in await select(office, user, chosen)}
    async with office.store.begin() as records:
        found = await records.events(after or 0, limit, newest=after is None, among=seen)
    return [(seen[event.deployment], event) for event in found]


async def log_lines(
    office: Office, user: User, chosen: Selection, count: int
) -> list[tuple[Seen, LogLine]]:
    """Return the newest lines of the deployments chosen, merged in order of time."""
    count = max(1, min(count, MAX_LOG_LINES))
    found: list[tuple[Seen, LogLine]] = []
    for seen in await select(office, user, chosen):
        found += [(seen, line) for line in await office.logs.tail(seen.deployment.id, count)]
    found.sort(key=lambda pair: pair[1].at)
    return found[-count:]


async def follow_logs(
    office: Office, chosen: list[Seen], count: int
) -> AsyncIterator[tuple[Seen, LogLine]]:
    """Yield the newest lines of these deployments, then each new one, until closed."""
    lines: asyncio.Queue[tuple[Seen, LogLine]] = asyncio.Queue(maxsize=1000)

    async def pump(seen: Seen) -> None:
        async for line in office.logs.follow(seen.deployment.id, count):
            await lines.put((seen, line))

    pumps = [asyncio.create_task(pump(seen)) for seen in chosen]
    try:
        while pumps:
            yield await lines.get()
    finally:
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def one(office: Office, user: User, id_: str) -> Seen:
    """Return a deployment by id, of the user's organization."""
    async with office.store.begin() as records:
        found = await records.find(Deployment, id=id_, organization=user.organization)
        if not found:
            raise not_found("deployment", shown(id_))
        return await see(office, records, user, found[0])


async def require_visible(office: Office, user: User, id_: str) -> None:
    """Refuse a deployment of another organization, or of somebody else's private environment.

    One that is gone has events still.
    """
    async with office.store.begin() as records:
        found = await records.find(Deployment, id=id_, organization=user.organization)
        told = await records.events(0, 1, deployment=id_, organization=user.organization)
        if not found and not told:
            raise not_found("deployment", shown(id_))
        kind = found[0].kind if found else None
        service = await records.get(Service, found[0].service if found else told[0].service)
    if kind is Kind.PRIVATE and service is not None:
        require_owner(service, user, "look into its private environment")


async def environment_names(office: Office, ids: list[str]) -> dict[str, tuple[str, str]]:
    """Return (environment, service) names of deployments that are still there."""
    names: dict[str, tuple[str, str]] = {}
    async with office.store.begin() as records:
        for id_ in ids:
            for held in await records.find(Deployment, id=id_):
                service = await records.get(Service, held.service)
                names[id_] = (held.kind.value, service.name if service else "")
    return names
