"""Handlers for a change under way, and for environments that stay at their version."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from codestore.actions import holds, queries, rollouts, rotation
from codestore.actions.places import Found, Place
from codestore.api import views
from codestore.api.desk import Desk, DeskDep, UserDep
from codestore.domain.services import User
from codestore.wire import Change, DeploymentView, RolloutView
from codestore.wire.asks import NewHold

PREFIX = "/api/environments/{owner}/{name}/services/{service}"
router = APIRouter(prefix=PREFIX, tags=["rollouts"])
Owner = Annotated[str, Path(description="A project; for private and demo the service itself.")]
Name = Annotated[str, Path(description="The environment.")]
Service = Annotated[str, Path(description="The service in it.")]


def _place(owner: Owner, name: Name, service: Service) -> Place:
    return Place(owner, name, service)


PlaceDep = Annotated[Place, Depends(_place)]


@router.get("/rollout")
async def get_rollout(place: PlaceDep, desk: DeskDep, user: UserDep) -> RolloutView:
    """Show the change under way: how far it has come, and what became of its requests."""
    return await _rollout(desk, user, await rollouts.look(desk.office, user, place))


@router.post("/rollout/pause")
async def pause(place: PlaceDep, desk: DeskDep, user: UserDep) -> RolloutView:
    """Have a canary stay at its share."""
    return await _rollout(desk, user, await rollouts.pause(desk.office, user, place))


@router.post("/rollout/resume")
async def resume(place: PlaceDep, desk: DeskDep, user: UserDep) -> RolloutView:
    """Have a canary go on."""
    return await _rollout(desk, user, await rollouts.resume(desk.office, user, place))


@router.post("/rollout/abort", status_code=202)
async def abort(place: PlaceDep, desk: DeskDep, user: UserDep) -> Change[RolloutView]:
    """Have the change under way given up; it ends as failed, with the code ``aborted``."""
    aborted = await rollouts.abort(desk.office, user, place)
    document = await _rollout(desk, user, aborted.found)
    return Change(document, views.waits([aborted.found.deployment]), aborted.undo)


@router.post("/database/password", status_code=202)
async def rotate_password(place: PlaceDep, desk: DeskDep, user: UserDep) -> Change[DeploymentView]:
    """Replace the password of its database: a rollout of the same version, which drops nothing."""
    replaced = await rotation.rotate_password(desk.office, user, place)
    document = await _shown(desk, user, replaced.found)
    return Change(document, views.waits([replaced.found.deployment]), "")


@router.post("/hold")
async def hold(place: PlaceDep, body: NewHold, desk: DeskDep, user: UserDep) -> DeploymentView:
    """Keep a service in a project's environment at its version: nothing promotes over it."""
    return await _shown(desk, user, await holds.hold(desk.office, user, place, body.reason))


@router.delete("/hold")
async def unhold(place: PlaceDep, desk: DeskDep, user: UserDep) -> DeploymentView:
    """Let it move on again; versions that were left behind there stay marked."""
    return await _shown(desk, user, await holds.unhold(desk.office, user, place))


async def _shown(desk: Desk, user: User, found: Found) -> DeploymentView:
    async with desk.office.store.begin() as records:
        seen = await queries.see(desk.office, records, user, found.deployment)
    return views.deployment_view(seen, desk.url_of)


async def _rollout(desk: Desk, user: User, found: Found) -> RolloutView:
    shown = await _shown(desk, user, found)
    tally = None if shown.canary is None else await desk.tally_of(found.deployment.id)
    return views.rollout_view(found.deployment, shown, tally)
