"""The five environments and their policies: one table that says what each of them allows."""

from dataclasses import dataclass, field
from enum import StrEnum

from codestore.domain.faults import invalid
from codestore.domain.names import shown
from codestore.domain.routing import Access, Limits


class Kind(StrEnum):
    """A kind of environment; each has a policy."""

    PRIVATE = "private"
    DEMO = "demo"
    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


SERVICE_KINDS = (Kind.PRIVATE, Kind.DEMO)
PROJECT_KINDS = (Kind.DEVELOPMENT, Kind.STAGING, Kind.PRODUCTION)


MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Resources:
    """What an instance may use: bytes of memory, and processor cores; ``None`` is no limit.

    ``disk``: the bytes that all files of its deployment may take together.
    """

    memory: int | None = None
    cpu: float | None = None
    disk: int | None = None


@dataclass(frozen=True, slots=True)
class DatabaseLimits:
    """What a deployment may have of its database: connections at once, seconds for a statement.

    Twice as many connections while its password is replaced. By default that is enough for eight
    instances beside the eight of the version before, with the usual pool of fifteen in each.
    """

    connections: int = 240
    statement: float = 300.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds in an environment. Times in seconds.

    ``source`` is the kind of environment a promotion takes its version from (``None``: a push).
    ``standby`` is the idle time after which a deployment is frozen (``None``: never), ``stop`` the
    one after which no process is left of it; ``may_sleep`` says whether a manifest may set them.
    While it is woken, at most ``queue`` callers wait, each at most ``queue_timeout``. ``promise``
    is the share of requests that must succeed in a month (``None``: no promise). ``concurrency``
    is how many requests at once are meant for one instance; between ``min_instances`` and
    ``max_instances`` their number follows it. With ``returns`` a young version that fails gives
    way to the one before. ``clients``: keys of a project's clients open it, too.
    """

    kind: Kind
    access: Access
    source: Kind | None
    standby: float | None
    may_sleep: bool
    min_instances: int
    max_instances: int
    stop: float = 1800.0
    queue: int = 1000
    queue_timeout: float = 60.0
    drain: float = 10.0
    limits: Limits = field(default_factory=Limits)
    resources: Resources = field(default_factory=Resources)
    concurrency: int = 40
    returns: bool = False
    promise: float | None = None
    clients: bool = False
    database: DatabaseLimits = field(default_factory=DatabaseLimits)


_RULES = Limits(
    idle_timeout=120.0, max_body=100 * MEBIBYTE, rate=500.0, max_requests=2_000
)  # for whatever is not production
_SMALL = Resources(memory=512 * MEBIBYTE, cpu=1.0, disk=1024 * MEBIBYTE)
_ALONE = DatabaseLimits(connections=40, statement=60.0)  # one instance, and the one that follows it
_FEW = DatabaseLimits(connections=60, statement=60.0)  # two of them

POLICIES: dict[Kind, Policy] = {
    Kind.PRIVATE: Policy(
        Kind.PRIVATE,
        Access.KEY,
        None,
        300.0,
        True,
        0,
        1,
        limits=_RULES,
        resources=_SMALL,
        database=_ALONE,
    ),
    Kind.DEMO: Policy(
        Kind.DEMO,
        Access.PUBLIC,
        Kind.PRIVATE,
        300.0,
        True,
        0,
        1,
        limits=_RULES,
        resources=_SMALL,
        database=_ALONE,
    ),
    Kind.DEVELOPMENT: Policy(
        Kind.DEVELOPMENT,
        Access.KEY,
        Kind.DEMO,
        None,
        True,
        1,
        2,
        limits=_RULES,
        resources=_SMALL,
        returns=True,
        database=_FEW,
    ),
    Kind.STAGING: Policy(
        Kind.STAGING,
        Access.KEY,
        Kind.DEVELOPMENT,
        None,
        True,
        1,
        2,
        limits=_RULES,
        resources=_SMALL,
        returns=True,
        database=_FEW,
    ),
    Kind.PRODUCTION: Policy(
        Kind.PRODUCTION,
        Access.KEY,
        Kind.STAGING,
        None,
        False,
        2,
        8,
        drain=30.0,
        resources=Resources(memory=1024 * MEBIBYTE, cpu=2.0, disk=8192 * MEBIBYTE),
        returns=True,
        promise=0.999,
        clients=True,
    ),
}


@dataclass(frozen=True, slots=True)
class Environment:
    """An isolation medium: a set of rules over the deployments it unites.

    It belongs either to a service (private, demo) or to a project. A project may have more than
    the three it is born with, so ``name`` and ``kind`` are two things. ``generation`` goes up
    with every change of its document. ``organization`` is that of what it belongs to.
    """

    id: str
    name: str
    kind: Kind
    service: str | None = None
    project: str | None = None
    generation: int = 1
    organization: str = ""

    @property
    def policy(self) -> Policy:
        """The rules of this environment."""
        return POLICIES[self.kind]


def project_kind(name: str) -> Kind:
    """Return the project environment called ``name``; raise a Fault that lists them otherwise."""
    for kind in PROJECT_KINDS:
        if kind.value == name:
            return kind
    raise invalid(
        "bad_environment",
        "No such environment",
        f'"{shown(name)}" is not an environment of a project.',
        hint=f"Use one of {', '.join(kind.value for kind in PROJECT_KINDS)}.",
    )
