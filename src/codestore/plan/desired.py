"""What a deployment should be, from what people asked, its manifest and its policy."""

from dataclasses import dataclass, replace

from codestore.domain.deployments import Deployment
from codestore.domain.environments import POLICIES
from codestore.domain.manifest import Manifest, Override
from codestore.domain.routing import Endpoint, Route
from codestore.domain.secret import Secret


@dataclass(frozen=True, slots=True)
class Wanted:
    """The goal of a plan. Times in seconds."""

    deployment: str
    revision: int
    digest: str
    database: str | None
    migrate: bool
    count: int
    start_timeout: float
    drain: float
    route: Route


def desired(deployment: Deployment, manifest: Manifest, keys: tuple[Secret, ...]) -> Wanted:
    """Combine intent, manifest and policy into one goal."""
    policy = POLICIES[deployment.kind]
    override = manifest.overrides.get(deployment.kind, Override())
    minimum = policy.min_instances if override.min_instances is None else override.min_instances
    digest = deployment.spec.digest
    return Wanted(
        deployment=deployment.id,
        revision=deployment.spec.revision,
        digest=digest,
        database=deployment.database if manifest.database else None,
        migrate=bool(manifest.migrate) and digest not in deployment.status.migrated,
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


def routed(
    route: Route, endpoints: tuple[Endpoint, ...], revision: int, unavailable: str | None = None
) -> Route:
    """Return the route with its endpoints, or with the reason for a 503 in their place."""
    held = () if unavailable is not None else endpoints
    return replace(route, endpoints=held, revision=revision, unavailable=unavailable)
