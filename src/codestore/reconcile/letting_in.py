"""Keys at the gateway: whoever publishes a route publishes the keys of that very moment.

A turn reads the keys when it begins, and may take minutes: a migration alone may. So a key that is
revoked does not wait for a turn (``let_in``), and a turn that began before cannot bring it back:
keys are read again where a route is published, one publication of a route at a time.
"""

import asyncio
from collections.abc import Iterable

import structlog

from codestore.domain.deployments import Deployment
from codestore.domain.events import EventKind, event_of
from codestore.domain.faults import Fault, unavailable
from codestore.domain.keys import Key, KeyState, opened
from codestore.domain.routing import Route
from codestore.ports import Records
from codestore.reconcile.doors import Doors
from codestore.reconcile.subject import guests_of

EVERY = 5.0  # seconds between two looks for keys that end
log = structlog.get_logger(__name__)


async def publish(route: Route, deployment: Deployment, doors: Doors) -> None:
    """Publish a route, open to those who may call it now."""
    async with doors.gates.of(route.hash):
        await doors.gateway.publish(await _opened(route, deployment, doors))


async def let_in(deployments: Iterable[Deployment], doors: Doors) -> None:
    """Have the gateway know the keys of these deployments. When it returns, requests meet them.

    Raises an UNAVAILABLE fault when the gateway does not confirm it; their turns try again.
    """
    failed: Fault | None = None
    for deployment in deployments:
        try:
            async with doors.gates.of(deployment.hash):
                route = doors.gateway.published(deployment.hash)
                if route is not None:
                    await _exchange(route, deployment, doors)
                elif deployment.status.live is not None and not deployment.spec.removed:
                    raise _behind()
        except Fault as fault:  # the others need not wait for this one
            failed = fault
    if failed is not None:
        raise failed


async def _exchange(route: Route, deployment: Deployment, doors: Doors) -> None:
    after = await _opened(route, deployment, doors)
    if after != route:
        await doors.gateway.publish(after)


async def _opened(route: Route, deployment: Deployment, doors: Doors) -> Route:
    async with doors.store.begin() as records:
        guests = await guests_of(records, doors, deployment)
    return guests.let_in(route)


def _behind() -> Fault:
    return unavailable(
        "gateway_behind",
        "The gateway has not caught up",
        "The change is written down; the gateway did not confirm it yet, and is told again.",
        "cs status",
    )


async def end_keys(doors: Doors) -> None:
    """End keys whose time is over, until cancelled.

    An overlap that is shorter than ``EVERY`` may last that long; what is over opens nothing after a
    restart either, because time is looked at whenever keys are read.
    """
    while True:
        pause = EVERY
        try:
            pause = await end_over(doors)
        except Fault as fault:
            log.warning("could not end keys", error=str(fault))
        await asyncio.sleep(pause)


async def end_over(doors: Doors) -> float:
    """End the keys whose time is over; return the seconds until the next look."""
    now = doors.clock.now()
    async with doors.store.begin() as records:
        retiring = await records.find(Key, state=KeyState.RETIRING.value)
        over = [key for key in retiring if not key.open_at(now)]
        touched = {held.id: held for key in over for held in await _opened_by(records, key)}
    if over:
        try:
            await let_in(touched.values(), doors)
        except Fault:  # the keys stay: else nobody would look for them again
            await _wake(touched, doors)
            raise
        async with doors.store.begin() as records:
            await records.remove(*over)
            text = "an old key has ended"
            events = (event_of(held, EventKind.KEYS, text, now) for held in touched.values())
            await records.emit(*events)
    ahead = [key.expires_at for key in retiring if key.expires_at and key.open_at(now)]
    return min([EVERY, *((at - now).total_seconds() for at in ahead)])


async def _wake(ids: Iterable[str], doors: Doors) -> None:
    """Have turns publish what the gateway did not confirm. A row is put back as it is."""
    async with doors.store.begin() as records:
        for id_ in sorted(ids):
            current = await records.get(Deployment, id_)
            if current is not None:
                await records.put(current)


async def _opened_by(records: Records, key: Key) -> list[Deployment]:
    held = await records.find(Deployment, project=key.scope)
    return opened(key.kind, key.scope, held or await records.find(Deployment, service=key.scope))
