"""What was promised and how it was kept: requests and failures by minute, hour and month (UTC)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from heapq import nlargest

from codestore.domain.canary import Tally
from codestore.domain.environments import POLICIES, Kind
from codestore.domain.faults import Fault, invalid
from codestore.domain.names import shown

PROMISED: dict[Kind, float] = {
    kind: policy.promise for kind, policy in POLICIES.items() if policy.promise is not None
}
"""The kinds of environments that have a promise, and which."""
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MINUTES = 60  # of an hour
MOST = 2**32 - 1
"""What a minute can hold of each; of more it says that it is full."""
MONTHS_KEPT = 13
"""Whole months that are kept beside the present one."""
_NOTHING = (0,) * MINUTES


@dataclass(frozen=True, slots=True)
class Hour:
    """One deployment in the hour that begins at ``start``, minute by minute."""

    deployment: str
    start: datetime
    requests: tuple[int, ...] = _NOTHING
    failures: tuple[int, ...] = _NOTHING

    @property
    def total(self) -> Tally:
        """All of it."""
        return Tally(sum(self.requests), sum(self.failures))

    def adding(self, more: "Hour") -> "Hour":
        """Return the hour with those of the same hour added, each to its minute."""
        return replace(
            self,
            requests=_added(self.requests, more.requests),
            failures=_added(self.failures, more.failures),
        )


@dataclass(frozen=True, slots=True)
class Minute:
    """One deployment in the minute that begins at ``at``."""

    deployment: str
    at: datetime
    tally: Tally


@dataclass(frozen=True, slots=True)
class Budget:
    """How a promise was kept so far, and how many more requests may fail.

    The budget grows with the requests: of every thousand one may fail (at 0.999). Who was never
    asked has broken nothing: all of the budget is left.
    """

    promise: float
    tally: Tally

    @property
    def availability(self) -> float | None:
        """The share of requests that did not fail; ``None`` when there was none."""
        asked = _asked(self.tally)
        return 1 - self.tally.failures / asked if asked else None

    @property
    def allowed(self) -> float:
        """How many of the requests so far may have failed."""
        return (1 - self.promise) * _asked(self.tally)

    @property
    def consumed(self) -> float:
        """The share of the budget that is gone; above 1 the promise is broken."""
        if not self.tally.failures:
            return 0.0
        return self.tally.failures / self.allowed if self.allowed else 1.0

    @property
    def left(self) -> float:
        """The share that is left; below 0 the promise is broken."""
        return 1 - self.consumed


def error_rate(tally: Tally) -> float:
    """Return the share of requests that failed; without a request, none did."""
    asked = _asked(tally)
    return tally.failures / asked if asked else 0.0


def window(hours: Iterable[Hour], until: datetime, length: timedelta) -> Tally:
    """Return what is in the minutes up to that of ``until``, so many that they last ``length``."""
    end = minute_of(until) + MINUTE
    requests = failures = 0
    for hour in hours:
        first = max(0, (end - length - hour.start) // MINUTE)
        behind = max(0, min(MINUTES, (end - hour.start) // MINUTE))
        requests += sum(hour.requests[first:behind])
        failures += sum(hour.failures[first:behind])
    return Tally(requests, failures)


def worst(hours: Iterable[Hour], count: int) -> list[Minute]:
    """Return the minutes in which most requests failed; of equals, of fewer requests, the newest.

    Those in which none failed are not among them.
    """
    return nlargest(count, _failing(hours), key=_badness)


def minute_of(at: datetime) -> datetime:
    """Return the beginning of a minute."""
    return at.astimezone(UTC).replace(second=0, microsecond=0)


def hour_of(at: datetime) -> datetime:
    """Return the beginning of an hour."""
    return minute_of(at).replace(minute=0)


def month_of(at: datetime, later: int = 0) -> datetime:
    """Return the beginning of a calendar month, or of one that is some months later."""
    at = at.astimezone(UTC)
    years, month = divmod(at.month - 1 + later, 12)
    return datetime(at.year + years, month + 1, 1, tzinfo=UTC)


def kept_since(now: datetime) -> datetime:
    """Return since when hours are kept: whole months, so that each is told whole or not at all."""
    return month_of(now, -MONTHS_KEPT)


def month_named(name: str, now: datetime) -> datetime:
    """Return the beginning of a month that is kept; raise a Fault for any other text."""
    for ago in range(MONTHS_KEPT + 1):
        month = month_of(now, -ago)
        if f"{month:%Y-%m}" == name:
            return month
    raise _no_month(name, now)


def _no_month(name: str, now: datetime) -> Fault:
    return invalid(
        "bad_month",
        "No such month",
        f'"{shown(name)}" is not a month of which anything is kept.',
        hint=f"From {kept_since(now):%Y-%m} to {month_of(now):%Y-%m}.",
    )


def _asked(tally: Tally) -> int:
    """A request that was counted before a failure was: then there were more failures, for once."""
    return max(tally.requests, tally.failures)


def _added(some: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(min(one + two, MOST) for one, two in zip(some, more, strict=True))


def _failing(hours: Iterable[Hour]) -> Iterator[Minute]:
    for hour in hours:
        for number, failures in enumerate(hour.failures):
            if failures:
                tally = Tally(hour.requests[number], failures)
                yield Minute(hour.deployment, hour.start + number * MINUTE, tally)


def _badness(minute: Minute) -> tuple[int, float, datetime]:
    return minute.tally.failures, error_rate(minute.tally), minute.at
