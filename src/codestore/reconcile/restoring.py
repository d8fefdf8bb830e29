"""The start of a control process: what sleeps goes on sleeping, and routes are as they were."""

import asyncio
from collections import defaultdict

import structlog

from codestore.domain.deployments import Deployment
from codestore.domain.environments import POLICIES
from codestore.domain.faults import Fault
from codestore.domain.instances import Artifact
from codestore.domain.keys import Key, key_scope
from codestore.domain.routing import Route
from codestore.domain.versions import Version
from codestore.plan.canary import remembered
from codestore.plan.desired import awake_at, desired, routed
from codestore.plan.standby import may_be_armed
from codestore.reconcile.doors import Doors
from codestore.reconcile.subject import Guests, Subject, all_secrets, workload

SIDE_BY_SIDE = 32
log = structlog.get_logger(__name__)


async def restored_routes(doors: Doors) -> list[Route]:
    """Have callers of whatever sleeps wait again; return a route for all that ever served.

    Nothing is started. Where there is no endpoint, callers get a 503 until the loop has started an
    instance.
    """
    subjects = await _everything(doors)
    await _arm_sleepers(subjects, doors)
    return [route for each in subjects if (route := await _route(each, doors)) is not None]


async def _everything(doors: Doors) -> list[Subject]:
    """Read all that is not to be removed, in a handful of questions."""
    async with doors.store.begin() as records:
        deployments = await records.find(Deployment)
        versions = {(each.service, each.number): each for each in await records.find(Version)}
        keys: dict[str, list[Key]] = defaultdict(list)
        for key in await records.find(Key):
            keys[key.scope].append(key)
        secrets = await all_secrets(records, doors, deployments)
    now = doors.clock.now()
    return [
        Subject(
            each,
            versions[each.service, each.spec.number],
            Guests.among(keys[key_scope(each)], each, doors.vault, now),
            secrets=secrets.get(each.id),
        )
        for each in deployments
        if not each.spec.removed
    ]


async def _arm_sleepers(subjects: list[Subject], doors: Doors) -> None:
    artifacts: dict[str, Artifact | None] = {}
    for subject in subjects:
        digest = subject.version.digest
        if subject.deployment.status.standby is not None and digest not in artifacts:
            artifacts[digest] = await doors.builder.prepared(subject.version.seal)
    turns = asyncio.Semaphore(SIDE_BY_SIDE)

    async def arm(subject: Subject) -> None:
        deployment = subject.deployment
        artifact = artifacts.get(subject.version.digest)
        view = await doors.driver.observe(deployment.id)
        if artifact is None or subject.secrets is None or not may_be_armed(deployment, view):
            return
        work = workload(subject, deployment.spec.revision, artifact, doors)
        async with turns:
            try:
                await doors.standby.arm(work, POLICIES[deployment.kind].queue)
            except (Fault, OSError) as fault:  # its own turn meets it again, and deals with it
                log.warning("cannot hold its place", deployment=deployment.id, error=str(fault))

    await asyncio.gather(*(arm(subject) for subject in subjects))


async def _route(subject: Subject, doors: Doors) -> Route | None:
    live = subject.deployment.status.live
    if live is None:
        return None
    guests = subject.guests
    wanted = desired(subject.deployment, subject.version.seal, guests.keys, guests.callers)
    view = await doors.driver.observe(subject.deployment.id)
    endpoints = awake_at(view)
    unavailable = None if endpoints else "This service is being started."
    split = remembered(subject.deployment, wanted, view)
    return routed(wanted.route, endpoints, live.revision, unavailable, split)
