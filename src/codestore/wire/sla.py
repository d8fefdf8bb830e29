"""The promise, as it was kept: by deployment and month, and the worst minutes."""

from dataclasses import dataclass
from datetime import datetime

from codestore.wire import EventView


@dataclass(slots=True)
class BurningView:
    """An error budget that burns too fast: how fast in a word, since when, and what was seen."""

    pace: str
    since: datetime
    message: str


@dataclass(slots=True)
class PromiseView:
    """How the promise of a deployment was kept in a month. ``project`` and ``service`` are names.

    ``availability`` is null before the first request. ``allowed`` is how many of the requests so
    far may have failed, ``budget_left`` the share of it that is left: below 0 it is overspent.
    """

    project: str
    service: str
    environment: str
    deployment: str
    promise: float
    requests: int
    failures: int
    availability: float | None
    allowed: float
    budget_left: float
    burning: BurningView | None


@dataclass(slots=True)
class MinuteView:
    """A minute in which requests failed, and what happened in it or in the minute before."""

    at: datetime
    project: str
    service: str
    environment: str
    deployment: str
    requests: int
    failures: int
    events: list[EventView]


@dataclass(slots=True)
class SlaView:
    """A month (UTC) of everything that something is promised of; the worst minutes first."""

    month: str
    since: datetime
    until: datetime
    services: list[PromiseView]
    worst: list[MinuteView]
