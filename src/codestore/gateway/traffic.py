"""Since when nobody has called: from the proxy's own counters, read now and then.

Only what was led to an instance is in them: a refused key, an unknown path or a check of the
platform's own never counts. A request is under way until its stream ends, a WebSocket until it is
closed.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import structlog

from codestore.gateway.admin import EnvoyAdmin

SHORTEST, LONGEST = 0.1, 15.0  # seconds between two readings
FORGOTTEN = 15  # times the precision asked for: whoever does not ask for so long needs no more
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Followed:
    """One deployment. ``total`` counts its requests; ``idle_since`` is empty while one is there."""

    within: float
    asked_at: datetime
    total: int | None = None
    idle_since: datetime | None = None


class Traffic:
    """Follows the deployments that are asked about, as closely as they are asked about."""

    def __init__(self, admin: EnvoyAdmin, now: Callable[[], datetime]) -> None:
        self._admin = admin
        self._now = now
        self._followed: dict[str, _Followed] = {}
        self._wanted = asyncio.Event()

    def idle_since(self, hash_: str, within: float) -> datetime | None:
        """Return since when there was no request; ``None`` while there is one, or none was read."""
        held = self._followed.get(hash_)
        if held is None or held.within > within:
            self._wanted.set()  # the next reading was to be too late for this one
        if held is None:
            held = self._followed[hash_] = _Followed(within, self._now())
        held.within, held.asked_at = within, self._now()
        return held.idle_since

    def touch(self, hash_: str) -> None:
        """Take this moment for one at which a request was there."""
        held = self._followed.get(hash_)
        if held is not None and held.total is not None:
            held.idle_since = self._now()

    async def follow(self) -> None:
        """Read the counters as often as needed, until cancelled; not at all if nobody asks."""
        while True:
            self._wanted.clear()
            await self._read()
            pause = min((held.within for held in self._followed.values()), default=None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause and min(max(pause, SHORTEST), LONGEST)):
                    await self._wanted.wait()

    async def _read(self) -> None:
        now = self._now()
        for hash_, held in list(self._followed.items()):
            if now - held.asked_at > timedelta(seconds=FORGOTTEN * held.within):
                del self._followed[hash_]
        if not self._followed:
            return
        try:
            counters = await self._admin.requests(self._followed)
        except Exception as error:  # whatever it is, the next reading may do
            known = isinstance(error, httpx.HTTPError | ValueError)
            log.warning("traffic is not known", error=repr(error), exc_info=not known)
            for held in self._followed.values():
                held.idle_since = None  # nobody is put to sleep on a guess
            return
        for hash_, held in self._followed.items():
            total, active = counters.get(hash_, (0, 0))
            if active:
                held.idle_since = None
            elif total != held.total or held.idle_since is None:
                held.idle_since = now
            held.total = total
