"""One deployment in Envoy's words: a scope of routes, a cluster, and endpoints where they move.

Each deployment is a *scope*: Envoy looks its routes up by the first path segment in a hash table
and is told only what belongs to that deployment when it changes, so neither a request nor an update
grows with the number of deployments.
"""

import re

from codestore.domain.routing import HASH_DIGITS, Route
from codestore.gateway.clusters import assignment, cluster, moves
from codestore.gateway.scopes import PLATFORM_SEGMENTS, deployment_scope, platform_scope
from codestore.gateway.snapshot import Kind, Resource

_HASH = re.compile(f"[0-9a-f]{{{HASH_DIGITS}}}")


def resources(route: Route) -> tuple[Resource, ...]:
    """Say one route in Envoy's words.

    An unavailable route has no cluster: what nobody can reach should not cost memory. Requests
    that are under way when the cluster goes end in peace.

    Raises ``ValueError`` for a route that Envoy could not take: an address of an unknown form, a
    key that no header can carry, a hash that could be mistaken for one of the platform's paths.
    """
    if not _HASH.fullmatch(route.hash):
        raise ValueError(f"{route.hash!r} is not {HASH_DIGITS} hex digits")
    scope = Resource.of(Kind.SCOPE, route.hash, deployment_scope(route))
    if route.unavailable is not None:
        return (scope,)
    led = Resource.of(Kind.CLUSTER, route.hash, cluster(route))
    if not moves(route.endpoints):
        return (led, scope)
    at = Resource.of(Kind.ENDPOINTS, route.hash, assignment(route.hash, route.endpoints))
    return (led, at, scope)


def platform_resources() -> tuple[Resource, ...]:
    """Build the scopes of the platform's own paths, which lead to the control process."""
    return tuple(
        Resource.of(Kind.SCOPE, f"platform/{segment}", platform_scope(segment))
        for segment in PLATFORM_SEGMENTS
    )
