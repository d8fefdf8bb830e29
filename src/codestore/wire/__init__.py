"""The shapes that cross HTTP: what the API answers and scripts may rely on.

Plain dataclasses, so that the command line can import them without a web framework; the API
turns them into JSON and OpenAPI.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from codestore.wire.dials import CanaryView, HoldView, LimitsView, MarkView, ScaleView

T = TypeVar("T")


@dataclass(slots=True)
class DeploymentView:
    """A deployment as people see it; ``key`` is null where none is needed or you may not see it.

    Of somebody else's private environment ``url``, ``database``, ``failure`` and ``reason`` are
    null too: it is its owner's alone.

    ``service`` and ``project`` are ids, ``name`` is the service's. ``reason`` says why its state is
    what it is, ``since`` since when. ``standby_after`` and ``stop_after`` are the idle times, in
    seconds, after which it is frozen and stopped (null: never); ``wakes`` are by depth.
    ``previous`` is what served before (null: nothing to go back to without naming it), ``marks``
    the versions that were left behind here; ``canary`` is set while one is under way.
    """

    id: str
    environment: str
    project: str | None
    service: str
    name: str
    version: str | None
    digest: str | None
    url: str | None
    key: str | None
    access: str
    state: str
    instances: int
    database: str | None
    generation: int
    deployed_at: datetime | None
    scale: ScaleView
    limits: LimitsView
    failure: "Problem | None" = None
    since: datetime | None = None
    reason: str | None = None
    standby: "StandbyView | None" = None
    standby_after: float | None = None
    stop_after: float | None = None
    wakes: dict[str, "WakesView"] = field(default_factory=dict)
    previous: str | None = None
    hold: HoldView | None = None
    marks: list[MarkView] = field(default_factory=list)
    canary: CanaryView | None = None


@dataclass(slots=True)
class StandbyView:
    """How a deployment sleeps: frozen or stopped. ``idle_since`` is when its last request ended."""

    depth: str
    idle_since: datetime
    since: datetime


@dataclass(slots=True)
class WakesView:
    """How long requests waited for a wake.

    ``buckets`` counts the wakes that took at most so many milliseconds, as Prometheus does. A
    quantile is a bucket's bound; null when it lies behind the last one.
    """

    count: int
    p50_ms: float | None
    p99_ms: float | None
    buckets: dict[str, int]
    total_seconds: float


@dataclass(slots=True)
class ServiceView:
    """A service and its two environments."""

    service: str
    name: str
    owner: str
    organization: str
    environments: dict[str, DeploymentView]


@dataclass(slots=True)
class VersionView:
    """A version of a service; ``latest`` marks the public one."""

    service: str
    version: str
    digest: str
    notes: str
    pushed_by: str
    pushed_at: datetime
    published_at: datetime | None
    latest: bool


@dataclass(slots=True)
class EnvironmentServices:
    """The deployments of a project's environment, by service name."""

    services: dict[str, DeploymentView] = field(default_factory=dict)


@dataclass(slots=True)
class ProjectView:
    """A project, its developer key and its environments."""

    project: str
    name: str
    description: str
    owner: str
    organization: str
    developer_key: str | None
    environments: dict[str, EnvironmentServices]


@dataclass(slots=True)
class InclusionView:
    """A service in a project: one deployment per environment."""

    project: str
    service: str
    name: str
    environments: dict[str, DeploymentView]


@dataclass(slots=True)
class ReleaseView:
    """A change of version in one environment."""

    service: str
    version: str
    digest: str
    environment: str
    deployment: DeploymentView


@dataclass(slots=True)
class EnvironmentView:
    """An environment, with what it belongs to and the deployments in it.

    Its policy, in seconds: frozen after ``standby`` without a request (null: never), stopped after
    ``stop``; while it is woken, at most ``queue`` callers wait, each at most ``queue_timeout``.
    """

    id: str
    name: str
    kind: str
    owner: str
    generation: int
    access: str
    standby: float | None
    stop: float
    queue: int
    queue_timeout: float
    instances: str
    deployments: list[DeploymentView]


@dataclass(slots=True)
class EventView:
    """One thing that happened."""

    sequence: int
    at: datetime
    environment: str
    service: str
    project: str | None
    deployment: str
    generation: int
    kind: str
    message: str
    step: str | None
    duration: float | None
    problem: "Problem | None"


@dataclass(slots=True)
class LogView:
    """One line a deployment printed, or that the platform wrote about it."""

    at: datetime
    environment: str
    service: str
    source: str
    stream: str
    text: str


@dataclass(slots=True)
class Wait:
    """What to follow until a change is concluded."""

    deployment: str
    environment: str
    generation: int


@dataclass(slots=True)
class Change(Generic[T]):
    """The answer to a change that was accepted: what it is about, what to wait for, the way back.

    ``document`` tells of now; when the wait is over, its deployments are told anew. ``undo`` is
    empty when nothing served before, or there is nothing to undo.
    """

    document: T
    waits: list[Wait]
    undo: str


@dataclass(slots=True)
class Conclusion:
    """The last message of a wait. ``succeeded`` only when every deployment did."""

    succeeded: bool
    deployments: dict[str, DeploymentView]
    problems: list["Problem"]


@dataclass(slots=True)
class Listing(Generic[T]):
    """A page of a list; ``next`` is what to pass as ``after`` for the page behind it."""

    items: list[T]
    next: str | None = None


@dataclass(slots=True)
class Problem:
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    detail: str
    status: int
    code: str
    hint: str = ""
    where: str = ""


@dataclass(slots=True)
class PlanStep:
    """A step that is due."""

    key: str
    step: str
    reason: str


@dataclass(slots=True)
class PlanView:
    """What the next turn would do."""

    deployment: str
    environment: str
    service: str
    verdict: str
    serving: int
    wanted: int
    next_look: str | None
    steps: list[PlanStep]


@dataclass(slots=True)
class RolloutView:
    """The change under way in a deployment, if there is one.

    ``requests`` were answered by its canary, ``failures`` of them badly; callers ``left`` without
    an answer, at least so many; ``waiting`` have none yet. Null: there is none, or nobody knows.
    """

    deployment: DeploymentView
    under_way: bool
    from_version: str | None = None
    to_version: str | None = None
    asked_by: str | None = None
    asked_at: datetime | None = None
    requests: int | None = None
    failures: int | None = None
    left: int | None = None
    waiting: int | None = None
    aborted_by: str | None = None
