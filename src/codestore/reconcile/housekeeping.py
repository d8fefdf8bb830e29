"""What has to be done now and then: throw away what nobody names any more."""

import asyncio
from datetime import timedelta

import structlog

from codestore.domain.faults import Fault
from codestore.domain.versions import Version
from codestore.reconcile.doors import Doors

EVERY = 3600.0  # seconds
LOGS_KEPT = timedelta(days=30)
log = structlog.get_logger(__name__)


async def keep_house(doors: Doors) -> None:
    """Tidy up now and every hour, until cancelled. What fails is tried again the next time."""
    while True:
        try:
            await tidy(doors)
        except (Fault, OSError) as error:
            log.warning("could not tidy up", error=str(error))
        await asyncio.sleep(EVERY)


async def tidy(doors: Doors) -> None:
    """Delete bundles of versions that are gone, and logs older than a month."""
    async with doors.store.begin() as records:
        versions = await records.find(Version)
    await doors.builder.collect(version.digest for version in versions)
    await doors.logs.prune(doors.clock.now() - LOGS_KEPT)
