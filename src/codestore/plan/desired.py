"""What a deployment should be, from what people asked, its manifest and its policy."""

from dataclasses import dataclass, replace

from codestore.domain.canary import Canary
from codestore.domain.deployments import Deployment, Spec, Status
from codestore.domain.environments import POLICIES
from codestore.domain.instances import View
from codestore.domain.manifest import Manifest, RunKind
from codestore.domain.overrides import Override, limits, rest, span
from codestore.domain.routing import Caller, Endpoint, Route, Split
from codestore.domain.secret import Secret
from codestore.domain.versions import Migration, Seal


@dataclass(frozen=True, slots=True)
class Wanted:
    """The goal of a plan. Times in seconds.

    ``count`` instances are to run, by load; with ``minimum`` it is available. ``port``: they
    listen on ports of their own. ``canary`` is how a new revision is let in; ``before`` is the goal
    for what serves until then. ``standby`` and ``stop`` are the idle times after which it is frozen
    (``None``: never) and stopped. ``missing`` are secrets that it needs and that nobody has set.
    ``login`` is the number of its database's password.
    """

    deployment: str
    revision: int
    digest: str
    database: str | None
    migrate: bool
    migrations: tuple[Migration, ...]
    minimum: int
    count: int
    start_timeout: float
    drain: float
    route: Route
    port: bool = False
    canary: Canary | None = None
    returns: bool = False
    standby: float | None = None
    stop: float = 0.0
    queue: int = 0
    queue_timeout: float = 0.0
    missing: tuple[str, ...] = ()
    login: int = 0
    before: "Wanted | None" = None

    def with_count(self, count: int) -> "Wanted":
        """Return the same goal with another number of instances."""
        return replace(self, count=count)


def desired(
    deployment: Deployment,
    seal: Seal,
    keys: tuple[Secret, ...],
    callers: tuple[Caller, ...] = (),
) -> Wanted:
    """Combine intent, what is sealed in the version, and policy into one goal."""
    manifest = seal.manifest
    policy = POLICIES[deployment.kind]
    override = manifest.overrides.get(deployment.kind, Override())
    low, high = span(policy, override)
    scale = deployment.spec.dials.scale
    digest = deployment.spec.digest
    standby, stop = rest(policy, override) or (None, 0.0)
    return Wanted(
        deployment=deployment.id,
        revision=deployment.spec.revision,
        digest=digest,
        database=deployment.database if manifest.database else None,
        migrate=_must_migrate(deployment.status, seal),
        migrations=seal.migrations,
        minimum=low,
        count=low if scale is None else min(max(scale, low), high),
        start_timeout=manifest.health.timeout,
        drain=policy.drain,
        route=Route(
            hash=deployment.hash,
            deployment=deployment.id,
            access=policy.access,
            keys=keys,
            endpoints=(),
            limits=limits(policy, override),
            promised=policy.promise is not None,
            callers=callers,
        ),
        port=manifest.run.kind is RunKind.COMMAND,
        canary=deployment.spec.canary,
        returns=policy.returns,
        standby=standby,
        stop=stop,
        queue=policy.queue,
        queue_timeout=policy.queue_timeout,
        missing=_missing(deployment.spec, manifest),
        login=deployment.spec.login,
    )


def _missing(spec: Spec, manifest: Manifest) -> tuple[str, ...]:
    """Return what the manifest names and the revision was not given. Empty is given."""
    given = spec.given
    if given is None:
        return ()  # nobody has looked yet
    return tuple(key for key in manifest.secrets if key not in given.keys)


def awake_at(view: View) -> tuple[Endpoint, ...]:
    """Return where requests are led: to instances, or where callers can wait for one."""
    return view.endpoints or ((view.held,) if view.held is not None else ())


def asleep_at(view: View) -> tuple[Endpoint, ...]:
    """Return where callers wait for a deployment that sleeps: it is woken from there."""
    return (view.held,) if view.held is not None else view.endpoints


def _must_migrate(status: Status, seal: Seal) -> bool:
    """Whether the version has migrations that have not run on this database.

    A version whose files have all run there with a later one has nothing to add: going back to
    it must not ask its migration tool, which does not know the later files.
    """
    if not seal.manifest.migrate or seal.digest in status.migrated:
        return False
    return not seal.migrations or not set(seal.migrations) <= set(status.applied)


def routed(
    route: Route,
    endpoints: tuple[Endpoint, ...],
    revision: int,
    unavailable: str | None = None,
    split: Split | None = None,
) -> Route:
    """Return the route with its endpoints, or with the reason for a 503 in their place."""
    if unavailable is not None:
        return replace(route, endpoints=(), revision=revision, unavailable=unavailable)
    return replace(route, endpoints=endpoints, revision=revision, split=split)
