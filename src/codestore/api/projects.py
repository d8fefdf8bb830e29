"""Handlers for projects and the services in them."""

from collections.abc import Sequence

from fastapi import APIRouter

from codestore.actions import projects, queries
from codestore.actions.projects import Entry, Included
from codestore.actions.queries import Seen
from codestore.api import views
from codestore.api.desk import Desk, DeskDep, PageDep, UserDep
from codestore.domain.faults import invalid, not_found
from codestore.domain.names import shown
from codestore.domain.services import Project, User
from codestore.wire import Change, InclusionView, Listing, ProjectView, ReleaseView
from codestore.wire.asks import Inclusion, NewProject, Promotion, Roll

router = APIRouter(prefix="/api/projects", tags=["projects"])


@router.get("")
async def list_projects(desk: DeskDep, user: UserDep, page: PageDep) -> Listing[ProjectView]:
    """List the projects of your organization."""
    found = await queries.projects(desk.office, user, page)
    items = [await _project(desk, user, held.id) for held in found]
    return Listing(items, page.following(found))


@router.post("", status_code=201)
async def create_project(body: NewProject, desk: DeskDep, user: UserDep) -> ProjectView:
    """Create a project with its three environments."""
    project = await projects.create_project(desk.office, user, body.name, body.description)
    return await _project(desk, user, project.id)


@router.get("/{ref}")
async def get_project(ref: str, desk: DeskDep, user: UserDep) -> ProjectView:
    """Show a project."""
    return await _project(desk, user, ref)


@router.delete("/{ref}", status_code=204)
async def delete_project(ref: str, desk: DeskDep, user: UserDep) -> None:
    """Delete an empty project."""
    await projects.delete_project(desk.office, user, ref)


@router.get("/{ref}/services")
async def list_included(
    ref: str, desk: DeskDep, user: UserDep, page: PageDep
) -> Listing[InclusionView]:
    """List the services in a project, by name; ``after`` is the id of the last service seen."""
    project, seen = await queries.project_detail(desk.office, user, ref)
    services = sorted({held.service for held in seen}, key=lambda held: held.name)
    ids = [held.id for held in services]
    if page.after is not None and page.after not in ids:
        raise invalid(
            "page_lost",
            "The page is lost",
            f"{shown(page.after)} is not in this project any more.",
            hint="Start again with the first page.",
        )
    first = ids.index(page.after) + 1 if page.after is not None else 0
    part = services[first : first + page.limit]
    items = [
        views.inclusion_view(
            project, service, [held for held in seen if held.service == service], desk.url_of
        )
        for service in part
    ]
    more = first + page.limit < len(services)
    return Listing(items, part[-1].id if more else None)


@router.post("/{ref}/services", status_code=202)
async def include(ref: str, body: Inclusion, desk: DeskDep, user: UserDep) -> Change[InclusionView]:
    """Include the public version of a service in all environments of a project."""
    return await _changed(desk, user, await projects.include(desk.office, user, ref, body.service))


@router.get("/{ref}/services/{service}")
async def get_included(ref: str, service: str, desk: DeskDep, user: UserDep) -> InclusionView:
    """Show a service in a project."""
    project, seen = await queries.project_detail(desk.office, user, ref)
    mine = [held for held in seen if service in (held.service.id, held.service.name)]
    return _inclusion(desk, project, mine, service)


@router.delete("/{ref}/services/{service}", status_code=202)
async def exclude(ref: str, service: str, desk: DeskDep, user: UserDep) -> Change[InclusionView]:
    """Remove a service from a project, with its data there."""
    return await _changed(desk, user, await projects.exclude(desk.office, user, ref, service))


@router.post("/{ref}/services/{service}/promote", status_code=202)
async def promote(
    ref: str, service: str, body: Promotion, desk: DeskDep, user: UserDep
) -> Change[ReleaseView]:
    """Put the version of the environment before on ``to``, unless that is held."""
    entry = Entry(body.canary, body.force)
    included = await projects.promote_in_project(desk.office, user, ref, service, body.to, entry)
    return await _released(desk, user, included)


@router.post("/{ref}/services/{service}/roll", status_code=202)
async def roll(
    ref: str, service: str, body: Roll, desk: DeskDep, user: UserDep
) -> Change[ReleaseView]:
    """Put any published version, forwards or back, in an environment; back it is held there."""
    target = (body.environment, body.version)
    included = await projects.roll_in_project(desk.office, user, ref, service, target)
    return await _released(desk, user, included)


async def _project(desk: Desk, user: User, ref: str) -> ProjectView:
    project, seen = await queries.project_detail(desk.office, user, ref)
    environments = await queries.project_environments(desk.office, project)
    key = await queries.project_key(desk.office, user, project)
    return views.project_view(project, environments, seen, key, desk.url_of)


def _inclusion(desk: Desk, project: Project, seen: Sequence[Seen], service: str) -> InclusionView:
    if not seen:
        raise not_found(
            "service in this project",
            f"{project.name}/{shown(service)}",
            f"cs project:service:list {project.name}",
        )
    return views.inclusion_view(project, seen[0].service, seen, desk.url_of)


async def _seen(desk: Desk, user: User, included: Included) -> list[Seen]:
    async with desk.office.store.begin() as records:
        return [
            await queries.see(desk.office, records, user, held) for held in included.deployments
        ]


async def _changed(desk: Desk, user: User, included: Included) -> Change[InclusionView]:
    seen = await _seen(desk, user, included)
    document = _inclusion(desk, included.project, seen, included.service.id)
    return Change(document, views.waits(included.deployments), included.undo)


async def _released(desk: Desk, user: User, included: Included) -> Change[ReleaseView]:
    seen = await _seen(desk, user, included)
    document = views.release_view(seen[0], desk.url_of)
    return Change(document, views.waits(included.deployments), included.undo)
