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


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds in an environment. Times in seconds.

    ``source`` is the kind of environment a promotion takes its version from (``None``: a push).
    ``standby`` is the idle time after which a deployment is frozen (``None``: never), ``stop`` the
    one after which no process is left of it; ``may_sleep`` says whether a manifest may set them.
    While it is woken, at most ``queue`` callers wait, each at most ``queue_timeout``. ``promise``
    is the share of requests that must succeed in a month (``None``: no promise).
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
    promise: float | None = None


POLICIES: dict[Kind, Policy] = {
    Kind.PRIVATE: Policy(Kind.PRIVATE, Access.KEY, None, 300.0, True, 0, 1),
    Kind.DEMO: Policy(Kind.DEMO, Access.PUBLIC, Kind.PRIVATE, 300.0, True, 0, 1),
    Kind.DEVELOPMENT: Policy(Kind.DEVELOPMENT, Access.KEY, Kind.DEMO, None, True, 1, 2),
    Kind.STAGING: Policy(Kind.STAGING, Access.KEY, Kind.DEVELOPMENT, None, True, 1, 2),
    Kind.PRODUCTION: Policy(
        Kind.PRODUCTION, Access.KEY, Kind.STAGING, None, False, 2, 8, drain=30.0, promise=0.999
    ),
}


@dataclass(frozen=True, slots=True)
class Environment:
    """An isolation medium: a set of rules over the deployments it unites.

    It belongs either to a service (private, demo) or to a project. A project may have more than
    the three it is born with, so ``name`` and ``kind`` are two things. ``generation`` goes up
    with every change of its document.
    """

    id: str
    name: str
    kind: Kind
    service: str | None = None
    project: str | None = None
    generation: int = 1

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
