"""Handlers that tell what happens: events, logs, waits, plans, status."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from codestore.actions import queries
from codestore.actions.queries import Seen
from codestore.actions.waiting import Ended, follow_events, wait
from codestore.api import views
from codestore.api.desk import MAX_SEQUENCE, Desk, DeskDep, PageDep, SelectionDep, UserDep
from codestore.api.problems import problem
from codestore.domain.faults import invalid
from codestore.domain.services import User
from codestore.wire import (
    Conclusion,
    DeploymentView,
    EnvironmentView,
    EventView,
    Listing,
    LogView,
    PlanView,
)
from codestore.wire.status import StatusView

router = APIRouter(prefix="/api", tags=["watching"])
LastSeen = Annotated[int | None, Header(alias="last-event-id", ge=0, le=MAX_SEQUENCE)]
Count = Annotated[int, Query(ge=1, le=queries.MAX_LOG_LINES)]
MAX_WAITS = 50


@router.get("/status")
async def status(desk: DeskDep, user: UserDep) -> StatusView:
    """Tell how the platform is."""
    return await desk.status(user)


@router.get("/deployments/{id_}")
async def get_deployment(id_: str, desk: DeskDep, user: UserDep) -> DeploymentView:
    """Show a deployment."""
    return views.deployment_view(await queries.one(desk.office, user, id_), desk.url_of)


@router.get("/environments")
async def list_environments(
    desk: DeskDep, user: UserDep, page: PageDep
) -> Listing[EnvironmentView]:
    """List the environments you can see."""
    found, last = await queries.environments(desk.office, user, page)
    items = [views.environment_view(owner, held, [], desk.url_of) for owner, held in found]
    return Listing(items, last)


@router.get("/environments/{owner}/{name}")
async def get_environment(owner: str, name: str, desk: DeskDep, user: UserDep) -> EnvironmentView:
    """Show an environment and everything deployed in it."""
    title, held, seen = await queries.environment(desk.office, user, owner, name)
    return views.environment_view(title, held, seen, desk.url_of)


@router.get("/plan")
async def plan(desk: DeskDep, user: UserDep, chosen: SelectionDep) -> Listing[PlanView]:
    """Tell what the next turn would do; changes nothing."""
    seen = await queries.select(desk.office, user, chosen)
    plans = [await desk.plan_of(held) for held in seen]
    return Listing([told for told in plans if told is not None])  # one may have gone meanwhile


@router.get("/events")
async def list_events(
    desk: DeskDep,
    user: UserDep,
    chosen: SelectionDep,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    after: Annotated[int | None, Query(ge=0, le=MAX_SEQUENCE)] = None,
) -> Listing[EventView]:
    """List events: the newest, or those after a sequence number."""
    found = await queries.events(desk.office, user, chosen, after, limit)
    items = [
        views.event_view(event, seen.environment.name, seen.service.name) for seen, event in found
    ]
    return Listing(items, str(items[-1].sequence) if items else None)


async def _chosen(desk: DeskDep, user: UserDep, chosen: SelectionDep) -> list[Seen]:
    """Select before the stream begins, so that a refusal still has its status."""
    return await queries.select(desk.office, user, chosen)


ChosenDep = Annotated[list[Seen], Depends(_chosen)]


@router.get("/events/stream", response_class=EventSourceResponse)
async def stream_events(
    desk: DeskDep,
    seen: ChosenDep,
    after: Annotated[int, Query(ge=0, le=MAX_SEQUENCE)] = 0,
    last_seen: LastSeen = None,
) -> AsyncIterator[ServerSentEvent]:
    """Follow events as they happen."""
    by_id = {held.deployment.id: held for held in seen}
    start = after if last_seen is None else last_seen
    stream = follow_events(desk.office, desk.bulletin, frozenset(by_id), start)
    async for event in stream:
        held = by_id[event.deployment]
        view = views.event_view(event, held.environment.name, held.service.name)
        yield ServerSentEvent(data=view, event="event", id=str(event.sequence))


@router.get("/logs")
async def list_logs(
    desk: DeskDep, user: UserDep, chosen: SelectionDep, count: Count = 20
) -> Listing[LogView]:
    """List the newest log lines, oldest first."""
    found = await queries.log_lines(desk.office, user, chosen, count)
    return Listing([views.log_view(seen, line) for seen, line in found])


@router.get("/logs/stream", response_class=EventSourceResponse)
async def stream_logs(
    desk: DeskDep, seen: ChosenDep, count: Count = 20
) -> AsyncIterator[ServerSentEvent]:
    """Follow log lines as they are printed."""
    async for held, line in queries.follow_logs(desk.office, seen, count):
        yield ServerSentEvent(data=views.log_view(held, line), event="line")


async def _waits(
    desk: DeskDep,
    user: UserDep,
    wait_for: Annotated[list[str], Query(alias="wait", max_length=MAX_WAITS)],
) -> dict[str, int]:
    """Read ``DEPLOYMENT:GENERATION``; what you cannot see you cannot wait for."""
    waits: dict[str, int] = {}
    for item in wait_for:
        id_, _, generation = item.partition(":")
        if not (generation.isascii() and generation.isdigit() and len(generation) < 10):
            raise invalid("bad_wait", "Not a wait", "Use wait=DEPLOYMENT:GENERATION.")
        await queries.require_visible(desk.office, user, id_)
        waits[id_] = int(generation)
    return waits


@router.get("/watch", response_class=EventSourceResponse)
async def watch(
    desk: DeskDep,
    user: UserDep,
    waits: Annotated[dict[str, int], Depends(_waits)],
    last_seen: LastSeen = None,
) -> AsyncIterator[ServerSentEvent]:
    """Follow changes until they are concluded; the last message is ``end``."""
    names = await queries.environment_names(desk.office, list(waits))
    async for item in wait(desk.office, desk.bulletin, waits, last_seen):
        if isinstance(item, Ended):
            conclusion = await _conclusion(desk, user, item)
            yield ServerSentEvent(data=conclusion, event="end")
        else:
            view = views.event_view(item, *names.get(item.deployment, ("", "")))
            yield ServerSentEvent(data=view, event="event", id=str(item.sequence))


async def _conclusion(desk: Desk, user: User, ended: Ended) -> Conclusion:
    deployments = {}
    async with desk.office.store.begin() as records:
        for id_, deployment in ended.deployments.items():
            if deployment is not None:
                seen = await queries.see(desk.office, records, user, deployment)
                deployments[id_] = views.deployment_view(seen, desk.url_of)
    problems = [problem(letter) for letter in ended.letters]
    return Conclusion(ended.succeeded, deployments, problems)
