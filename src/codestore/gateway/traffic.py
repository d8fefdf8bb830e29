"""The traffic door: requests under way, how many there were, how they ended, since when none came.

All of it from Envoy's own counters. Only what was led to a deployment is in them: a refused key, an
unknown path or a check of the platform's own never counts. A request is under way until its stream
ends, a WebSocket until it is closed.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import httpx
import structlog

from codestore.domain.canary import Trial
from codestore.domain.faults import Fault
from codestore.gateway.admin import EnvoyAdmin, away
from codestore.gateway.clusters import split_name
from codestore.gateway.counting import KEPT, Figures, Ledger, by_hash, counters, total, trial
from codestore.ports import Calls, Reading

SHORTEST, LONGEST = 0.1, 15.0  # seconds between two readings
FORGOTTEN = 15  # times the precision asked for: whoever does not ask for so long needs no more
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Followed:
    """One deployment; ``idle_since`` is empty while a request is there.

    ``totals`` counts requests by cluster: the sum might be the same again after a change.
    """

    within: float
    asked_at: datetime
    totals: Mapping[str, float] | None = None
    idle_since: datetime | None = None


class EnvoyTraffic:
    """The traffic of deployments, as their Envoy counts it.

    Life: lasts as long as its gateway, which runs ``follow`` beside it and tells it what changes.
    """

    def __init__(self, admin: EnvoyAdmin, now: Callable[[], datetime]) -> None:
        self._admin = admin
        self._now = now
        self._since = round(now().timestamp() * 1000)
        self._run: str | None = None
        self._ledger = Ledger({})
        self._looking = asyncio.Lock()
        self._followed: dict[str, _Followed] = {}
        self._wanted = asyncio.Event()

    async def active(self, hash_: str) -> Mapping[str, int]:
        """Count the requests under way at each endpoint (by address), draining ones included.

        An endpoint that a route has lost is not counted, even if it still has requests: let it
        drain first. A ``unix:`` endpoint may be replaced together with its count when its route
        changes; ask whoever holds the socket.
        """
        try:
            return await self._admin.active_requests(hash_)
        except httpx.HTTPError as error:
            raise away(str(error)) from error

    async def loads(self, hashes: Collection[str]) -> Mapping[str, int]:
        """Count the requests under way, by hash; none is not listed."""
        figures = by_hash(await self._figures(hashes, "active"), hashes)
        found = {hash_: counters(total(own.values())) for hash_, own in figures.items()}
        return {hash_: own.active for hash_, own in found.items() if own.active}

    async def split(self, hash_: str, revision: int) -> Trial:
        """Return what became of the requests that a split led to a revision, while it lasts."""
        name = f"{split_name(hash_, revision)}-"
        run, figures = await self._look([hash_])
        return trial(total(own for each, own in figures.items() if each.startswith(name)), run)

    async def reading(self, hashes: Collection[str]) -> Reading:
        """Read all counters of these deployments. Within an epoch they never fall.

        An epoch ends with Envoy, and also with this process: the next one cannot know what was
        counted by clusters that are gone, and begins at zero; by source it is told as Envoy counts
        it. Envoy adds up durations only every five seconds.
        """
        async with self._looking:  # what is seen is entered in the order it was seen in
            first = self._run is None
            run, seen = await self._look(None if first else hashes)
            if run != self._run:
                # Of an Envoy that is met in the middle of its run, all is taken in: whatever comes
                # later begins at zero by itself.
                self._run, self._ledger = run, Ledger(seen if first else {})
            entered = self._ledger.enter(seen, hashes)
            found = {
                hash_: replace(counters(own), sources=self._ledger.sources(hash_))
                for hash_, own in entered.items()
            }
        return Reading(f"{run}-{self._since:x}", found, run)

    async def calls(self) -> Calls:
        """Read how often each client called since Envoy started."""
        try:
            run = self._admin.run()
            found = await self._admin.calls()
            if run == self._admin.run():
                return Calls(run, found)
        except (OSError, httpx.HTTPError) as error:
            raise away(str(error)) from error
        raise away("Envoy has just been started anew.")

    async def note(self, hash_: str) -> None:
        """Read the counters of a deployment because it is about to change, if anybody ever has."""
        if hash_ in self._ledger:
            with contextlib.suppress(Fault):
                await self.reading([hash_])

    def forget(self, hash_: str) -> None:
        """Let go of what was counted for a deployment that is no more."""
        self._ledger.forget(hash_)

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
        if held is not None and held.totals is not None:
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
            figures = await self._admin.figures(self._followed, "total|active")
        except Exception as error:  # whatever it is, the next reading may do
            known = isinstance(error, httpx.HTTPError | ValueError)
            log.warning("traffic is not known", error=repr(error), exc_info=not known)
            for held in self._followed.values():
                held.idle_since = None  # nobody is put to sleep on a guess
            return
        for hash_, own in by_hash(figures, self._followed).items():
            held = self._followed[hash_]
            totals = {name: each["total"] for name, each in own.items() if each.get("total")}
            if any(each.get("active") for each in own.values()):
                held.idle_since = None
            elif totals != held.totals or held.idle_since is None:
                held.idle_since = now
            held.totals = totals

    async def _look(self, hashes: Collection[str] | None) -> tuple[str, dict[str, Figures]]:
        """Return the run of Envoy and what it has counted."""
        try:
            run = self._admin.run()
            seen = await self._figures(hashes)
            if run == self._admin.run():
                return run, seen
        except OSError as error:
            raise away(str(error)) from error
        raise away("Envoy has just been started anew.")

    async def _figures(
        self, hashes: Collection[str] | None, kept: str = KEPT
    ) -> dict[str, Figures]:
        if hashes is not None and not hashes:
            return {}
        try:
            return await self._admin.figures(hashes, kept)
        except httpx.HTTPError as error:
            raise away(str(error)) from error
