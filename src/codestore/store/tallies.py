"""What was counted of requests, on PostgreSQL: one row per deployment and hour."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    DateTime,
    Executable,
    Row,
    bindparam,
    delete,
    func,
    select,
)
from sqlalchemy.dialects import postgresql

from codestore.domain.canary import Tally
from codestore.domain.looks import Look
from codestore.domain.promise import Hour
from codestore.ports import Gone
from codestore.store import locks
from codestore.store.packing import packed, unpacked
from codestore.store.statements import texts, upsert
from codestore.store.tables import HOURS, LOOKS, TOTALS

_FORGET: Final = delete(TOTALS).where(
    TOTALS.c.deployment == bindparam("of"), TOTALS.c.source == bindparam("name")
)
Run = Callable[[Executable, Sequence[Mapping[str, Any]] | None], Awaitable[CursorResult[Any]]]


class PostgresTallies:
    """Implements the Tallies door; ``run`` executes a statement in the transaction."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def last(self) -> Look | None:
        """Return the last look, and hold the lock: two who count at once would count all twice."""
        await self._alone()
        look = (await self._run(select(LOOKS), None)).first()
        if look is None:
            return None
        totals: dict[str, dict[str, Tally]] = {}
        for row in await self._run(select(TOTALS), None):
            held = totals.setdefault(row.deployment, {})
            held[row.source] = Tally(row.requests, row.failures)
        return Look(look.at.astimezone(UTC), look.run, totals)

    async def add(self, hours: Sequence[Hour], look: Look, gone: Gone) -> None:
        """Add to what is there of these hours, and remember the look as the last one."""
        await self._alone()
        if hours:
            held = await self._held(hours)
            sums: dict[tuple[str, datetime], Hour] = {}
            for hour in hours:
                key = hour.deployment, hour.start
                before = sums.get(key) or held.get(key)
                sums[key] = hour if before is None else before.adding(hour)
            await self._run(upsert(HOURS), [_row(hour) for hour in sums.values()])
        if (await self._run(delete(LOOKS).where(LOOKS.c.run != look.run), None)).rowcount:
            await self._run(delete(TOTALS), None)
        elif rows := [{"of": id_, "name": name} for id_ in gone for name in gone[id_]]:
            await self._run(_FORGET, rows)
        await self._run(upsert(LOOKS), [{"run": look.run, "at": look.at}])
        if totals := _totals(look):
            await self._run(upsert(TOTALS), totals)

    async def hours(self, deployment: str, since: datetime, until: datetime) -> list[Hour]:
        """Return the hours of a deployment that begin between two times, oldest first."""
        query = select(HOURS).where(HOURS.c.deployment == deployment, *_between(since, until))
        return [_hour(row) for row in await self._run(query.order_by(HOURS.c.start), None)]

    async def worst(
        self, deployments: Collection[str], since: datetime, until: datetime, limit: int
    ) -> list[Hour]:
        """Return the hours with the worst minutes of some deployments, of equals the newest."""
        query = select(HOURS).where(
            HOURS.c.deployment == func.any(texts(deployments)),
            HOURS.c.peak > 0,
            *_between(since, until),
        )
        query = query.order_by(HOURS.c.peak.desc(), HOURS.c.start.desc()).limit(limit)
        return [_hour(row) for row in await self._run(query, None)]

    async def sums(
        self, deployments: Collection[str], since: datetime, until: datetime
    ) -> Mapping[str, Tally]:
        """Return what is in the hours that begin between two times, for each deployment."""
        requests, failures = func.sum(HOURS.c.requests), func.sum(HOURS.c.failures)
        query = (
            select(HOURS.c.deployment, requests.label("requests"), failures.label("failures"))
            .where(HOURS.c.deployment == func.any(texts(deployments)), *_between(since, until))
            .group_by(HOURS.c.deployment)
        )
        rows = await self._run(query, None)
        return {row.deployment: Tally(int(row.requests), int(row.failures)) for row in rows}

    async def prune(self, before: datetime) -> None:
        """Delete the hours that begin before a time."""
        await self._run(delete(HOURS).where(HOURS.c.start < before), None)

    async def _alone(self) -> None:
        await self._run(select(func.pg_advisory_xact_lock(locks.TALLIES)), None)

    async def _held(self, hours: Sequence[Hour]) -> dict[tuple[str, datetime], Hour]:
        """Return what there is of some hours; mostly all of them are the same hour."""
        deployments = {hour.deployment for hour in hours}
        starts = bindparam(
            "starts",
            list({hour.start for hour in hours}),
            type_=postgresql.ARRAY(DateTime(timezone=True)),
        )
        query = select(HOURS).where(
            HOURS.c.deployment == func.any(texts(deployments)),
            HOURS.c.start == func.any(starts),
        )
        found = (_hour(row) for row in await self._run(query, None))
        return {(hour.deployment, hour.start): hour for hour in found}


def _between(since: datetime, until: datetime) -> tuple[ColumnElement[bool], ...]:
    return HOURS.c.start >= since, HOURS.c.start < until


def _row(hour: Hour) -> dict[str, Any]:
    total = hour.total
    return {
        "deployment": hour.deployment,
        "start": hour.start,
        "requests": total.requests,
        "failures": total.failures,
        "peak": max(hour.failures),
        "requests_by_minute": packed(hour.requests),
        "failures_by_minute": packed(hour.failures),
    }


def _totals(look: Look) -> list[dict[str, Any]]:
    return [
        {
            "deployment": id_,
            "source": name,
            "requests": total.requests,
            "failures": total.failures,
        }
        for id_, sources in look.totals.items()
        for name, total in sources.items()
    ]


def _hour(row: Row[Any]) -> Hour:
    requests, failures = row.requests_by_minute, row.failures_by_minute
    start = row.start.astimezone(UTC)
    return Hour(row.deployment, start, unpacked(requests), unpacked(failures))
