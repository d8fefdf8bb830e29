"""Answers that only the composition root can give: how the platform is, and what comes next."""

import os
from collections import Counter

from codestore import __version__
from codestore.actions.queries import Seen
from codestore.domain.canary import Trial
from codestore.domain.deployments import Deployment
from codestore.domain.faults import Fault
from codestore.domain.services import User
from codestore.drivers.process.asking import refused
from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol.client import KeeperClient
from codestore.plan.explain import explain
from codestore.reconcile.cycle import consider, goal, observe
from codestore.reconcile.doors import Doors
from codestore.reconcile.subject import read_subject
from codestore.settings import Settings
from codestore.wire import PlanStep, PlanView
from codestore.wire.status import Processes, StatusView, Walls
from codestore.wiring.servers import ENVOY, POSTGRES


async def platform_status(
    doors: Doors, settings: Settings, keeper: KeeperClient, user: User
) -> StatusView:
    """Tell how the platform is: ``ready`` when everything that it needs runs.

    Deployments are counted of the user's organization only. Raises the fault of a keeper that
    does not answer.
    """
    try:
        listing = await keeper.list()
    except KeeperError as error:
        raise refused(error) from error
    children = {held.name: held for held in listing.children if held.running}
    async with doors.store.begin() as records:
        found = await records.find(Deployment, organization=user.organization)
    states = Counter(held.state.value for held in found)
    embedded = settings.database_url is None
    needed = {ENVOY, POSTGRES} if embedded else {ENVOY}
    pids = {name: held.pid for name, held in children.items()}
    return StatusView(
        version=__version__,
        url=settings.url,
        data=str(settings.data),
        state="ready" if needed <= set(children) else "degraded",
        processes=Processes(os.getppid(), os.getpid(), pids.get(ENVOY), pids.get(POSTGRES)),
        deployments=dict(states),
        walls=Walls(listing.walls, listing.breach, listing.exposed),
    )


async def canary_tally(doors: Doors, id_: str) -> Trial | None:
    """Tell what became of a canary's requests; ``None`` when there is none, or nobody knows."""
    async with doors.store.begin() as records:
        subject = await read_subject(records, doors, id_)
    if subject is None:
        return None
    try:
        return (await observe(subject, goal(subject), doors)).canary
    except Fault:
        return None


async def next_plan(doors: Doors, seen: Seen) -> PlanView | None:
    """Tell what the next turn of a deployment would do, unless it is gone; changes nothing."""
    async with doors.store.begin() as records:
        subject = await read_subject(records, doors, seen.deployment.id)
    if subject is None:
        return None
    plan, _ = await consider(subject, doors)
    told = explain(plan)
    return PlanView(
        deployment=seen.deployment.id,
        environment=seen.environment.name,
        service=seen.service.name,
        verdict=told["verdict"],
        serving=told["serving"],
        wanted=told["wanted"],
        next_look=told["next_look"],
        steps=[PlanStep(**step) for step in told["steps"]],
    )
