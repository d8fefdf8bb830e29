"""What has to be done now and then: throw away what nobody names any more."""

import asyncio
from datetime import datetime, timedelta

import structlog

from codestore.domain.deployments import Deployment
from codestore.domain.faults import Fault
from codestore.domain.promise import kept_since
from codestore.domain.versions import Version
from codestore.plan.keeping import ready_digests
from codestore.reconcile.doors import Doors

EVERY = 3600.0  # seconds
FORGOTTEN = 5_000  # events in one transaction
LOGS_KEPT = timedelta(days=30)
log = structlog.get_logger(__name__)


async def keep_house(doors: Doors, ready: int) -> None:
    """Tidy up now and every hour, until cancelled. What fails is tried again the next time.

    ``ready`` is how many versions of each service stay runnable although they run nowhere.
    """
    while True:
        try:
            await tidy(doors, ready)
        except (Fault, OSError) as error:
            log.warning("could not tidy up", error=str(error))
        await asyncio.sleep(EVERY)


async def tidy(doors: Doors, ready: int) -> None:
    """Delete bundles of versions that are gone; logs, counts and events that are old."""
    now = doors.clock.now()
    async with doors.store.begin() as records:
        await records.tallies.prune(kept_since(now))
        versions = await records.find(Version)
        deployments = await records.find(Deployment)
    runnable = ready_digests(versions, deployments, ready)
    await doors.builder.collect([version.digest for version in versions], runnable)
    await doors.logs.prune(now - LOGS_KEPT)
    while await _forget(doors, kept_since(now)) == FORGOTTEN:
        pass  # many small transactions instead of a long one


async def _forget(doors: Doors, before: datetime) -> int:
    async with doors.store.begin() as records:
        return await records.forget(before, FORGOTTEN)
