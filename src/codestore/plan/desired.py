"""What a deployment should be, from what people asked, its manifest and its policy."""

from dataclasses import dataclass, replace

from codestore.domain.deployments import Deployment, Status
from codestore.domain.environments import POLICIES
from codestore.domain.manifest import Override
from codestore.domain.routing import Endpoint, Route
from codestore.domain.secret import Secret
from codestore.domain.versions import Migration, Seal


@dataclass(frozen=True, slots=True)
class Wanted:
    """The goal of a plan. Times in seconds."""

    deployment: str
    revision: int
    digest: str
    database: str | None
    migrate: bool
    migrations: tuple[Migration, ...]
    count: int
    start_timeout: float
    drain: float
    route: Route


def desired(deployment: Deployment, seal: Seal, keys: tuple[Secret, ...]) -> Wanted:
    """Combine intent, what is sealed in the version, and policy into one goal."""
    manifest = seal.manifest
    policy = POLICIES[deployment.kind]
    override = manifest.overrides.get(deployment.kind, Override())
    minimum = policy.min_instances if override.min_instances is None else override.min_instances
    digest = deployment.spec.digest
    return Wanted(
        deployment=deployment.id,
        revision=deployment.spec.revision,
        digest=digest,
        database=deployment.database if manifest.database else None,
        migrate=_must_migrate(deployment.status, seal),
        migrations=seal.migrations,
        count=max(1, minimum),
        start_timeout=manifest.health.timeout,
        drain=policy.drain,
        route=Route(
            hash=deployment.hash,
            deployment=deployment.id,
            access=policy.access,
            keys=keys,
            endpoints=(),
            limits=policy.limits,
        ),
    )


def _must_migrate(status: Status, seal: Seal) -> bool:
    """Whether the version has migrations that have not run on this database.

    A version whose files have all run there with a later one has nothing to add: going back to
    it must not ask its migration tool, which does not know the later files.
    """
    if not seal.manifest.migrate or seal.digest in status.migrated:
        return False
    return not seal.migrations or not set(seal.migrations) <= set(status.applied)


def routed(
    route: Route, endpoints: tuple[Endpoint, ...], revision: int, unavailable: str | None = None
) -> Route:
    """Return the route with its endpoints, or with the reason for a 503 in their place."""
    held = () if unavailable is not None else endpoints
    return replace(route, endpoints=held, revision=revision, unavailable=unavailable)
