"""A deployment: one service in one environment, what is wanted of it and what is known of it."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from codestore.domain.conditions import Condition, Conditions, ConditionType, Truth, find, marked
from codestore.domain.environments import Kind
from codestore.domain.faults import Fault, Letter, conflict
from codestore.domain.standby import Depth, Standby, Wakes
from codestore.domain.versions import Migration

_WAKE_FAILED = "WakeFailed"


class State(StrEnum):
    """What people see; computed, never stored."""

    DEPLOYING = "deploying"
    READY = "ready"
    STANDBY = "standby"
    WAKING = "waking"
    DEGRADED = "degraded"
    FAILED = "failed"
    REMOVING = "removing"


@dataclass(frozen=True, slots=True)
class Spec:
    """What is wanted. ``generation`` goes up with every change people ask for.

    ``revision`` is the generation whose instances should run: it moves when the running ones must
    be replaced, and stays when only their number or the route changes.
    """

    generation: int
    revision: int
    number: str
    digest: str
    asked_by: str
    asked_at: datetime
    reason: str
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Live:
    """The version that serves, since when."""

    revision: int
    number: str
    digest: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a generation did not become live."""

    generation: int
    number: str
    letter: Letter
    at: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """What is known. ``generation`` is the last one that was concluded, well or not.

    ``migrated`` names the digests whose migrations have run on this database, ``applied`` the files
    they had; ``attempts`` and
    ``retry_at`` count tries after failures that may pass; ``crashes`` counts instances that
    ended by themselves since the version went live, or was woken. ``standby`` is set while it
    sleeps; ``wakes`` counts how long requests waited for a wake, ``woken_at`` is the last counted.
    """

    generation: int = 0
    live: Live | None = None
    failure: Failure | None = None
    migrated: tuple[str, ...] = ()
    applied: tuple[Migration, ...] = ()
    attempts: int = 0
    retry_at: datetime | None = None
    crashes: int = 0
    serving: int = 0
    standby: Standby | None = None
    wakes: Wakes = field(default_factory=Wakes)
    woken_at: datetime | None = None
    conditions: Conditions = ()


@dataclass(frozen=True, slots=True)
class Deployment:
    """One service in one environment. ``hash`` is its place in URLs (32 hex digits)."""

    id: str
    hash: str
    service: str
    environment: str
    kind: Kind
    project: str | None
    database: str
    created_at: datetime
    spec: Spec
    status: Status = Status()

    @property
    def busy(self) -> bool:
        """Whether a change is under way."""
        return self.spec.generation != self.status.generation

    @property
    def state(self) -> State:
        """The word people see for this deployment."""
        if self.spec.removed:
            return State.REMOVING
        if self.busy:
            return State.DEPLOYING
        if self.status.live is None:
            return State.FAILED
        available = find(self.status.conditions, ConditionType.AVAILABLE)
        if available is not None and available.truth is Truth.FALSE:
            return State.DEGRADED
        if self.status.standby is None:
            return State.READY
        return State.STANDBY if self.status.standby.waking_since is None else State.WAKING

    @property
    def explanation(self) -> tuple[datetime, str] | None:
        """Since when the state is what it is, and why."""
        if self.busy:
            return self.spec.asked_at, self.spec.reason
        telling = ConditionType.AWAKE
        if self.state is State.FAILED:
            telling = ConditionType.ROLLED_OUT
        elif self.state is State.DEGRADED and self.status.standby is None:
            telling = ConditionType.AVAILABLE
        told = find(self.status.conditions, telling)
        return None if told is None else (told.since, told.message)


def require_idle(deployment: Deployment) -> None:
    """Refuse a change while another one is under way, naming who holds it and since when."""
    if not deployment.busy:
        return
    spec = deployment.spec
    raise conflict(
        "busy",
        "Another change is under way",
        f"{deployment.kind} is held by {spec.asked_by} since "
        f"{spec.asked_at:%Y-%m-%d %H:%M:%S} UTC: {spec.reason}.",
        "Wait until it has ended (cs events -f), then try again.",
    )


@dataclass(frozen=True, slots=True)
class Wish:
    """Who asks for a change, when, and in what words."""

    by: str
    at: datetime
    reason: str


def retargeted(deployment: Deployment, number: str, digest: str, wish: Wish) -> Deployment:
    """Return the deployment with another version wanted. Raises a Fault while it is busy."""
    require_idle(deployment)
    generation = deployment.spec.generation + 1
    spec = Spec(generation, generation, number, digest, wish.by, wish.at, wish.reason)
    # What is to be mended need not wait until what is broken would have been tried again.
    status = replace(deployment.status, attempts=0, retry_at=None)
    return replace(deployment, spec=spec, status=status)


def doomed(deployment: Deployment, wish: Wish) -> Deployment:
    """Return the deployment marked for removal; asking twice changes nothing.

    A removal does not wait for a change under way: it ends it.
    """
    if deployment.spec.removed:
        return deployment
    spec = replace(
        deployment.spec,
        generation=deployment.spec.generation + 1,
        asked_by=wish.by,
        asked_at=wish.at,
        reason=wish.reason,
        removed=True,
    )
    return replace(deployment, spec=spec)


def mark_live(deployment: Deployment, now: datetime) -> Deployment:
    """The wanted revision serves: conclude the generation.

    What is live because the change after it failed keeps that failure, for people to see.
    """
    spec, status = deployment.spec, deployment.status
    live = status.live
    if live is None or live.revision != spec.revision:
        live = Live(spec.revision, spec.number, spec.digest, now)
    generation, text = spec.generation, f"{spec.number} serves."
    statement = Condition(ConditionType.ROLLED_OUT, Truth.TRUE, "Live", text, now, generation)
    after = replace(
        deployment,
        status=replace(
            status,
            generation=generation,
            live=live,
            failure=None if deployment.busy else status.failure,
            attempts=0,
            retry_at=None,
            crashes=0 if deployment.busy else status.crashes,
            conditions=marked(status.conditions, statement),
        ),
    )
    if not deployment.busy:
        return after
    return _awake(after, Truth.TRUE, ("Deployed", f"{spec.number} was deployed."), None, now)


def mark_failed(deployment: Deployment, fault: Fault, now: datetime) -> Deployment:
    """The wanted revision failed for good: conclude it and want the live version again."""
    spec, status = deployment.spec, deployment.status
    failure = Failure(spec.generation, spec.number, fault.letter, now)
    statement = Condition(
        ConditionType.ROLLED_OUT,
        Truth.FALSE,
        fault.letter.code,
        fault.letter.title,
        now,
        spec.generation,
    )
    back = spec
    if status.live is not None:
        live = status.live
        back = replace(spec, revision=live.revision, number=live.number, digest=live.digest)
    return replace(
        deployment,
        spec=back,
        status=replace(
            status,
            generation=spec.generation,
            failure=failure,
            attempts=0,
            retry_at=None,
            conditions=marked(status.conditions, statement),
        ),
    )


def mark_available(deployment: Deployment, serving: int, wanted: int, now: datetime) -> Deployment:
    """State whether requests are answered by as many instances as wanted."""
    enough = serving >= wanted
    statement = Condition(
        ConditionType.AVAILABLE,
        Truth.TRUE if enough else Truth.FALSE,
        "Serving" if enough else "InstancesMissing",
        f"{serving} of {wanted} instances accept requests.",
        now,
        deployment.spec.generation,
    )
    status = replace(
        deployment.status,
        serving=serving,
        conditions=marked(deployment.status.conditions, statement),
    )
    return replace(deployment, status=status)


def mark_standby(deployment: Deployment, standby: Standby, now: datetime) -> Deployment:
    """It sleeps, or is being woken: nobody is served just now, and that is as it should be."""
    if standby.waking_since is not None:
        reason, message = "Waking", "A request is waking it."
    elif standby.depth is Depth.FROZEN:
        reason, message = "Frozen", "No request came; its processes are frozen."
    else:
        reason, message = "Stopped", "No request came; no process is left of it."
    told = find(deployment.status.conditions, ConditionType.AWAKE)
    if told is not None and told.reason == _WAKE_FAILED and standby.waking_since is None:
        reason, message = told.reason, told.message  # true until the next one tries
    return _awake(deployment, Truth.FALSE, (reason, message), standby, now)


def mark_wake_failed(deployment: Deployment, letter: Letter, now: datetime) -> Deployment:
    """A request was to wake it, in vain."""
    told = (_WAKE_FAILED, letter.detail)
    return _awake(deployment, Truth.FALSE, told, deployment.status.standby, now)


def mark_awake(deployment: Deployment, now: datetime) -> Deployment:
    """A request woke it, and it came up: its crashes are forgotten."""
    after = _awake(deployment, Truth.TRUE, ("Woken", "It was woken."), None, now)
    return replace(after, status=replace(after.status, crashes=0, retry_at=None))


def _awake(
    deployment: Deployment,
    truth: Truth,
    told: tuple[str, str],
    standby: Standby | None,
    now: datetime,
) -> Deployment:
    reason, message = told
    generation = deployment.spec.generation
    statement = Condition(ConditionType.AWAKE, truth, reason, message, now, generation)
    conditions = marked(deployment.status.conditions, statement)
    status = replace(deployment.status, standby=standby, conditions=conditions)
    return replace(deployment, status=status)


def counted(deployment: Deployment, at: datetime, depth: Depth, seconds: float) -> Deployment:
    """Count a wake, once."""
    status = deployment.status
    if status.woken_at is not None and at <= status.woken_at:
        return deployment
    wakes = status.wakes.counting(depth, seconds)
    return replace(deployment, status=replace(status, wakes=wakes, woken_at=at))
