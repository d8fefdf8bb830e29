"""How a deployment runs: its scale and limits, holds and marks, and a canary under way."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True)
class ScaleView:
    """How many instances are wanted by load, and between which numbers that is."""

    wanted: int
    min: int
    max: int


@dataclass(slots=True)
class LimitsView:
    """What holds for a deployment, by policy and manifest; null is no limit.

    ``rate`` is in requests per second, ``max_requests`` are those under way at once, ``max_body``
    is in bytes, ``idle_timeout`` in seconds without a byte; an instance has ``memory`` in bytes
    and ``cpu`` in cores. ``disk`` is in bytes, for all files of the deployment.
    """

    rate: float | None
    max_requests: int | None
    max_body: int | None
    idle_timeout: float
    memory: int | None
    cpu: float | None
    disk: int | None


@dataclass(slots=True)
class HoldView:
    """An environment stays at its version: who wants that, since when, and why."""

    by: str
    at: datetime
    reason: str


@dataclass(slots=True)
class MarkView:
    """A version that was left behind in an environment."""

    version: str
    reason: str
    at: datetime
    by: str


@dataclass(slots=True)
class CanaryView:
    """How far a canary of ``version`` has come.

    ``percent`` of the requests go to it since ``since`` (0 before its first share); each of the
    ``steps`` is held for ``hold`` seconds. ``next_at`` is null while it is paused or has not begun.
    It is given up when more than ``error_rate`` (a share) of its requests fail.
    """

    version: str
    steps: list[int]
    hold: float
    error_rate: float
    percent: int
    since: datetime | None
    next_percent: int | None
    next_at: datetime | None
    paused: bool
