"""What was counted of requests, in memory: the same door as on PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from codestore.domain.canary import Tally
from codestore.domain.looks import Look
from codestore.domain.promise import Hour
from codestore.ports import Gone


@dataclass(slots=True)
class Ledger:
    """What is kept, by deployment and hour; replaced as a whole by a transaction that writes."""

    hours: dict[tuple[str, datetime], Hour] = field(default_factory=dict)
    look: Look | None = None


class MemoryTallies:
    """Implements the Tallies door on a ledger; transactions run one after the other."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._before = replace(ledger)

    async def last(self) -> Look | None:
        """Return the last look."""
        return self._ledger.look

    async def add(self, hours: Sequence[Hour], look: Look, gone: Gone) -> None:
        """Add to what is there of these hours, and remember the look as the last one."""
        ledger = self._ledger
        ledger.hours = dict(ledger.hours)
        for hour in hours:
            key = hour.deployment, hour.start
            held = ledger.hours.get(key)
            ledger.hours[key] = hour if held is None else held.adding(hour)
        same = ledger.look is not None and ledger.look.run == look.run
        known = dict(ledger.look.totals) if same and ledger.look is not None else {}
        for id_, names in gone.items():
            known[id_] = {name: of for name, of in known.get(id_, {}).items() if name not in names}
        for id_, sources in look.totals.items():
            known[id_] = {**known.get(id_, {}), **sources}
        ledger.look = replace(look, totals={id_: held for id_, held in known.items() if held})

    async def hours(self, deployment: str, since: datetime, until: datetime) -> list[Hour]:
        """Return the hours of a deployment that begin between two times, oldest first."""
        found = [h for h in self._between(since, until) if h.deployment == deployment]
        return sorted(found, key=lambda hour: hour.start)

    async def worst(
        self, deployments: Collection[str], since: datetime, until: datetime, limit: int
    ) -> list[Hour]:
        """Return the hours with the worst minutes of some deployments, of equals the newest."""
        found = [
            hour
            for hour in self._between(since, until)
            if hour.deployment in deployments and max(hour.failures)
        ]
        found.sort(key=lambda hour: (max(hour.failures), hour.start), reverse=True)
        return found[:limit]

    async def sums(
        self, deployments: Collection[str], since: datetime, until: datetime
    ) -> Mapping[str, Tally]:
        """Return what is in the hours that begin between two times, for each deployment."""
        found: dict[str, Tally] = {}
        for hour in self._between(since, until):
            if hour.deployment in deployments:
                held, more = found.get(hour.deployment, Tally()), hour.total
                found[hour.deployment] = Tally(
                    held.requests + more.requests, held.failures + more.failures
                )
        return found

    async def prune(self, before: datetime) -> None:
        """Delete the hours that begin before a time."""
        held = self._ledger.hours.items()
        self._ledger.hours = {key: hour for key, hour in held if hour.start >= before}

    def undo(self) -> None:
        """Put everything back as it was."""
        self._ledger.hours, self._ledger.look = self._before.hours, self._before.look

    def _between(self, since: datetime, until: datetime) -> list[Hour]:
        return [hour for hour in self._ledger.hours.values() if since <= hour.start < until]
