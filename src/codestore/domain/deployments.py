"""A deployment: one service in one environment, what is wanted of it and what is known of it."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from codestore.domain.canary import Canary, Progress
from codestore.domain.conditions import Conditions, ConditionType, Truth, find
from codestore.domain.dials import Dials, Hold, undisturbed
from codestore.domain.environments import Kind
from codestore.domain.faults import Letter, conflict
from codestore.domain.secrets import Scope, SetRef
from codestore.domain.standby import Standby, Wakes
from codestore.domain.versions import Migration, Number


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
    be replaced, and stays when only their number or the route changes. ``canary`` is how the
    revision is let in (``None``: all at once). ``returning``: it served here before. ``secrets``
    is the set that the revision it names is given, ``login`` numbers the password of its database.
    ``lifted`` is the hold that a change let go: it holds again if the change comes to nothing.
    """

    generation: int
    revision: int
    number: str
    digest: str
    asked_by: str
    asked_at: datetime
    reason: str
    removed: bool = False
    canary: Canary | None = None
    returning: bool = False
    dials: Dials = field(default_factory=Dials)
    secrets: SetRef | None = None
    login: int = 0
    lifted: Hold | None = None

    @property
    def given(self) -> SetRef | None:
        """The set of the wanted revision; ``None`` until somebody has said which it is."""
        said = self.secrets
        return said if said is not None and said.revision == self.revision else None


@dataclass(frozen=True, slots=True)
class Live:
    """The version that serves, since when, with which secrets.

    ``returned``: it had been replaced, or was to give way, and came back.
    """

    revision: int
    number: str
    digest: str
    since: datetime
    returned: bool = False
    secrets: SetRef | None = None
    login: int = 0


@dataclass(frozen=True, slots=True)
class Remembered:
    """The set of secrets with which a version served here last."""

    number: str
    secrets: SetRef


@dataclass(frozen=True, slots=True)
class Mark:
    """A version that was left behind in this environment: why, when, by whom."""

    number: str
    reason: str
    at: datetime
    by: str


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
    they had; ``attempts`` and ``retry_at`` count tries after failures that may pass, the first at
    ``stuck_since``; ``crashes`` counts how often in a row instances of what is live ended by
    themselves, since it went live, was woken, or ran well for long; ``crashed_at`` is the last
    time, ``crash`` how it was. Until ``restart_at`` as many as are ``resting`` are not started
    again. ``standby`` is set while it sleeps; ``wakes`` counts how long requests waited for a
    wake, ``woken_at`` is the last counted. ``previous`` is what served before ``live``; ``canary``
    how far a change has come; ``remembered`` are the secrets of versions that served.
    """

    generation: int = 0
    live: Live | None = None
    failure: Failure | None = None
    migrated: tuple[str, ...] = ()
    applied: tuple[Migration, ...] = ()
    attempts: int = 0
    retry_at: datetime | None = None
    stuck_since: datetime | None = None
    crashes: int = 0
    crashed_at: datetime | None = None
    crash: str | None = None
    restart_at: datetime | None = None
    resting: int = 0
    serving: int = 0
    standby: Standby | None = None
    wakes: Wakes = field(default_factory=Wakes)
    woken_at: datetime | None = None
    previous: Live | None = None
    canary: Progress | None = None
    marks: tuple[Mark, ...] = ()
    remembered: tuple[Remembered, ...] = ()
    conditions: Conditions = ()


@dataclass(frozen=True, slots=True)
class Deployment:
    """One service in one environment. ``hash`` is its place in URLs (32 hex digits).

    ``organization`` is the service's: nobody else sees it.
    """

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
    organization: str = ""

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
    def scope(self) -> Scope:
        """The nearest scope whose secrets it gets."""
        return Scope(self.project, self.environment, self.service)

    @property
    def unresolved(self) -> bool:
        """Whether a change is under way and nobody has said yet which secrets it gets."""
        return self.busy and not self.spec.removed and self.spec.given is None

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


def as_live(deployment: Deployment) -> Deployment:
    """Return the deployment as if what serves were wanted; as it is if nothing does."""
    live, spec = deployment.status.live, deployment.spec
    if live is None:
        return deployment
    back = replace(
        spec,
        revision=live.revision,
        number=live.number,
        digest=live.digest,
        canary=None,
        secrets=live.secrets,
        login=live.login,
    )
    return replace(deployment, spec=back)


def rescaled(deployment: Deployment, count: int | None) -> Deployment:
    """Return the deployment with another number of instances wanted, as its load asks."""
    dials = replace(deployment.spec.dials, scale=count)
    return replace(deployment, spec=replace(deployment.spec, dials=dials))


def require_idle(deployment: Deployment) -> None:
    """Refuse a change while another one is under way, naming who asked for that and when."""
    if not deployment.busy:
        return
    spec = deployment.spec
    raise conflict(
        "busy",
        "Another change is under way",
        f"{deployment.kind} is being changed by {spec.asked_by} since "
        f"{spec.asked_at:%Y-%m-%d %H:%M:%S} UTC: {spec.reason}.",
        "Wait until it has ended (cs events -f), then try again.",
    )


@dataclass(frozen=True, slots=True)
class Wish:
    """Who asks for a change, when, and in what words; how the new version is let in.

    ``returning``: the version served here before.
    """

    by: str
    at: datetime
    reason: str
    canary: Canary | None = None
    returning: bool = False


def retargeted(deployment: Deployment, number: str, digest: str, wish: Wish) -> Deployment:
    """Return the deployment with another version wanted. Raises a Fault while it is busy."""
    require_idle(deployment)
    generation = deployment.spec.generation + 1
    spec = replace(
        deployment.spec,
        generation=generation,
        revision=generation,
        number=number,
        digest=digest,
        asked_by=wish.by,
        asked_at=wish.at,
        reason=wish.reason,
        canary=wish.canary,
        returning=wish.returning,
        dials=undisturbed(deployment.spec.dials),
        lifted=None,
    )
    # What is to be mended need not wait until what is broken would have been tried again.
    status = replace(deployment.status, attempts=0, retry_at=None)
    return replace(deployment, spec=spec, status=status)


def with_secrets(deployment: Deployment, secrets: SetRef) -> Deployment:
    """Return the deployment with its wanted revision given a set of secrets."""
    return replace(deployment, spec=replace(deployment.spec, secrets=secrets))


def sets_of(deployment: Deployment) -> frozenset[str]:
    """Return the ids of all sets of secrets that something may still be started with."""
    status = deployment.status
    held = [deployment.spec.secrets, *(each.secrets for each in status.remembered)]
    held += [live.secrets for live in (status.live, status.previous) if live is not None]
    return frozenset(ref.id for ref in held if ref is not None)


def restarted(deployment: Deployment, secrets: SetRef, wish: Wish) -> Deployment:
    """Return the deployment with the same version wanted anew, with other secrets.

    ``secrets`` are for its next revision. Raises a Fault while it is busy.
    """
    after = retargeted(deployment, deployment.spec.number, deployment.spec.digest, wish)
    return with_secrets(after, secrets)


def brought_back(deployment: Deployment) -> SetRef | None:
    """Return the secrets with which the wanted version served here last, on a way back to it."""
    spec, live = deployment.spec, deployment.status.live
    if live is None or live.number == spec.number:
        return None
    if not spec.returning and Number.parse(spec.number) > Number.parse(live.number):
        return None
    held = (each for each in deployment.status.remembered if each.number == spec.number)
    return next((each.secrets for each in held), None)


def with_new_login(deployment: Deployment, wish: Wish) -> Deployment:
    """Return the deployment with the same version wanted anew, with another database password.

    Raises a Fault while it is busy.
    """
    after = retargeted(deployment, deployment.spec.number, deployment.spec.digest, wish)
    return replace(after, spec=replace(after.spec, login=deployment.spec.login + 1))


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
    # Whatever could not be done lately is no reason to wait with this.
    status = replace(deployment.status, attempts=0, retry_at=None)
    return replace(deployment, spec=spec, status=status)
