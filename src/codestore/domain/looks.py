"""From what a gateway has counted to what came since it was last looked at, minute by minute."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from codestore.domain.canary import Tally
from codestore.domain.promise import MINUTE, MINUTES, MOST, Hour, hour_of, minute_of

LATE = timedelta(minutes=5)
"""A look that is older than the last one by less came late; by more: the clock was set back."""
LONGEST = timedelta(days=1)
"""What came in a longer time is taken to have come in the last part of it that is so long."""
SLACK = 8
"""A counter that is lower by no more was read in the middle of a change, and did not begin anew."""
_TICK = timedelta(microseconds=1)
Totals = Mapping[str, Mapping[str, Tally]]
"""What was counted, by deployment and by whatever part of a gateway counted it."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a gateway had counted when it was looked at.

    ``run`` names its run: in another one, everything began at zero.
    """

    at: datetime
    run: str
    totals: Totals = field(default_factory=dict)


def came(before: Look | None, now: Look, born: Mapping[str, datetime]) -> list[Hour]:
    """Return what came between two looks, in the minutes in which it did, as far as is known.

    What came since the last look is spread evenly over that time, from when the deployment was
    ``born`` if that is later.
    """
    if came_late(before, now):
        return []
    hours: list[Hour] = []
    for id_, sources in now.totals.items():
        known = _known(before, now.run, id_)
        grown = [_grown(known.get(name, Tally()), total) for name, total in sources.items()]
        tally = Tally(sum(t.requests for t in grown), sum(t.failures for t in grown))
        if tally != Tally():
            since = born[id_] if before is None else max(before.at, born[id_])
            hours += spread(id_, tally, max(since, now.at - LONGEST), now.at)
    return hours


def came_late(before: Look | None, now: Look) -> bool:
    """Whether somebody has looked since: what this look tells is counted already."""
    return before is not None and timedelta() <= before.at - now.at < LATE


def to_remember(before: Look | None, now: Look) -> Look:
    """Return a look with those totals only that are not remembered from the last one."""
    totals: dict[str, dict[str, Tally]] = {}
    for id_, sources in now.totals.items():
        known = _known(before, now.run, id_)
        for name, total in sources.items():
            held = known.get(name, Tally())
            if (reached := _reached(held, total)) != held:
                totals.setdefault(id_, {})[name] = reached
    return replace(now, totals=totals)


def to_forget(before: Look | None, now: Look, held: Collection[str]) -> dict[str, set[str]]:
    """Return the sources that are remembered of each deployment, and need not be any more.

    Of those that are ``held``, what this look does not tell though it tells of the deployment: a
    source that comes again begins at zero. Of those that are not, everything.
    """
    if before is None or before.run != now.run:
        return {}  # another run forgets all by itself
    forgotten = {}
    for id_, sources in before.totals.items():
        told = now.totals.get(id_, sources if id_ in held else {})
        if gone := sources.keys() - told.keys():
            forgotten[id_] = gone
    return forgotten


def spread(deployment: str, tally: Tally, since: datetime, until: datetime) -> list[Hour]:
    """Return hours that hold these requests, evenly over the time between.

    Each minute gets what had come by its end: none is split, and none is lost. With no time
    between, all came in the minute of ``until``.
    """
    together = min(tally.requests, tally.failures)
    good, late = tally.requests - together, tally.failures - together
    hours: dict[datetime, tuple[list[int], list[int]]] = {}
    done = (0, 0, 0)
    for minute, share in _shares(since, until):
        due = (_part(good, share), _part(together, share), _part(late, share))
        well, both, rest = (now - then for now, then in zip(due, done, strict=True))
        done = due
        if well or both or rest:
            requests, failures = hours.setdefault(hour_of(minute), ([0] * MINUTES, [0] * MINUTES))
            requests[minute.minute] = min(well + both, MOST)
            failures[minute.minute] = min(both + rest, MOST)
    return [Hour(deployment, at, tuple(r), tuple(f)) for at, (r, f) in hours.items()]


def _known(before: Look | None, run: str, id_: str) -> Mapping[str, Tally]:
    if before is None or before.run != run:
        return {}
    return before.totals.get(id_, {})


def _began_anew(before: Tally, now: Tally) -> bool:
    """Whether a counter fell, by more than it seems to when it is read while it moves."""
    fallen = max(before.requests - now.requests, before.failures - now.failures)
    return fallen > SLACK


def _grown(before: Tally, now: Tally) -> Tally:
    """Return what is new in a counter."""
    if _began_anew(before, now):
        return now
    return Tally(
        max(0, now.requests - before.requests),
        max(0, now.failures - before.failures),
    )


def _reached(before: Tally, now: Tally) -> Tally:
    """Return what a counter has come to: what it had is not lost because it was not seen now."""
    if _began_anew(before, now):
        return now
    return Tally(
        max(now.requests, before.requests),
        max(now.failures, before.failures),
    )


def _shares(since: datetime, until: datetime) -> Iterator[tuple[datetime, tuple[int, int]]]:
    """Yield each minute between, with how much of the time was over at its end, as a fraction."""
    whole = (until - since) // _TICK
    minute = minute_of(since)
    while whole > 0 and minute + MINUTE < until:
        yield minute, ((minute + MINUTE - since) // _TICK, whole)
        minute += MINUTE
    yield minute if whole > 0 else minute_of(until), (1, 1)


def _part(count: int, share: tuple[int, int]) -> int:
    over, whole = share
    return count * over // whole
