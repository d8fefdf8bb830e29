"""Handlers for services and their versions."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from codestore.actions import queries, services
from codestore.actions.services import Accepted, Submission
from codestore.api import views
from codestore.api.desk import Desk, DeskDep, PageDep, UserDep
from codestore.api.uploads import received
from codestore.domain.services import User
from codestore.wire import Change, Listing, ReleaseView, ServiceView, VersionView
from codestore.wire.asks import Roll

router = APIRouter(prefix="/api/services", tags=["services"])
Notes = Annotated[str, Query(max_length=10_000, description="Release notes.")]
Name = Annotated[str, Query(max_length=1_000)]


@router.get("")
async def list_services(desk: DeskDep, user: UserDep, page: PageDep) -> Listing[ServiceView]:
    """List the services of your organization."""
    found = await queries.services(desk.office, user, page)
    items = [await _service(desk, user, held.id) for held in found]
    return Listing(items, page.following(found))


@router.post("", status_code=202)
async def create_service(
    request: Request, desk: DeskDep, user: UserDep, name: Name, notes: Notes = ""
) -> Change[ServiceView]:
    """Create a service from a folder (a tar.gz as the body)."""
    async with received(request, desk.uploads) as upload:
        accepted = await services.create_service(desk.office, user, name, Submission(upload, notes))
    return await _changed(desk, user, accepted)


@router.get("/{ref}")
async def get_service(ref: str, desk: DeskDep, user: UserDep) -> ServiceView:
    """Show a service."""
    return await _service(desk, user, ref)


@router.delete("/{ref}", status_code=202)
async def remove_service(ref: str, desk: DeskDep, user: UserDep) -> Change[ServiceView]:
    """Remove a service and its data."""
    return await _changed(desk, user, await services.remove_service(desk.office, user, ref))


@router.get("/{ref}/versions")
async def list_versions(
    ref: str, desk: DeskDep, user: UserDep, page: PageDep
) -> Listing[VersionView]:
    """List the versions of a service, oldest first."""
    service, found, public = await queries.versions(desk.office, user, ref, page)
    items = [views.version_view(service, held, public) for held in found]
    return Listing(items, page.following(found))


@router.post("/{ref}/versions", status_code=202)
async def push(
    ref: str, request: Request, desk: DeskDep, user: UserDep, notes: Notes = ""
) -> Change[ReleaseView]:
    """Push a folder (a tar.gz as the body): a new version, deployed to private."""
    async with received(request, desk.uploads) as upload:
        accepted, _ = await services.push(desk.office, user, ref, Submission(upload, notes))
    return await _released(desk, user, accepted)


@router.get("/{ref}/source", response_class=StreamingResponse)
async def fetch_source(
    ref: str,
    desk: DeskDep,
    user: UserDep,
    version: Annotated[str | None, Query(max_length=100)] = None,
) -> StreamingResponse:
    """Fetch the source of a version (the newest by default) as a tar.gz."""
    held, chunks = await queries.source(desk.office, user, ref, version)
    headers = {"x-codestore-version": held.number, "x-codestore-digest": held.digest}
    return StreamingResponse(chunks, media_type="application/gzip", headers=headers)


@router.post("/{ref}/promote", status_code=202)
async def promote(ref: str, desk: DeskDep, user: UserDep) -> Change[ReleaseView]:
    """Put the version on private on demo."""
    return await _released(desk, user, await services.promote(desk.office, user, ref))


@router.post("/{ref}/roll", status_code=202)
async def roll(ref: str, body: Roll, desk: DeskDep, user: UserDep) -> Change[ReleaseView]:
    """Put another version on private or demo."""
    accepted = await services.roll(desk.office, user, ref, body.environment, body.version)
    return await _released(desk, user, accepted)


async def _service(desk: Desk, user: User, ref: str) -> ServiceView:
    service, seen = await queries.service_detail(desk.office, user, ref)
    return views.service_view(service, seen, desk.url_of)


async def _changed(desk: Desk, user: User, accepted: Accepted) -> Change[ServiceView]:
    document = await _service(desk, user, accepted.service.id)
    return Change(document, views.waits(accepted.deployments), accepted.undo)


async def _released(desk: Desk, user: User, accepted: Accepted) -> Change[ReleaseView]:
    async with desk.office.store.begin() as records:
        seen = await queries.see(desk.office, records, user, accepted.deployments[0])
    document = views.release_view(seen, desk.url_of)
    return Change(document, views.waits(accepted.deployments), accepted.undo)
