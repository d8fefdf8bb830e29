"""One deployment in Envoy's words: a scope of routes, a cluster, and endpoints where they move.

Each deployment is a *scope*: Envoy looks its routes up by the first path segment in a hash table
and is told only what belongs to that deployment when it changes, so neither a request nor an update
grows with the number of deployments.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from codestore.domain.routing import HASH_DIGITS, Endpoint, Route
from codestore.gateway.clusters import assignment, cluster, moves, split_cluster, split_name
from codestore.gateway.scopes import PLATFORM_SEGMENTS, deployment_scope, platform_scope
from codestore.gateway.snapshot import Kind, Resource

_HASH = re.compile(f"[0-9a-f]{{{HASH_DIGITS}}}")


def resources(route: Route) -> tuple[Resource, ...]:
    """Say one route in Envoy's words.

    An unavailable route has no cluster: what nobody can reach should not cost memory. With a
    promise it keeps an empty one, which counts whom it fails. Requests that are under way when a
    cluster goes end in peace.

    Raises ``ValueError`` for a route that Envoy could not take: an address of an unknown form, a
    key that no header can carry, a hash that could be mistaken for one of the platform's paths.
    """
    if not _HASH.fullmatch(route.hash):
        raise ValueError(f"{route.hash!r} is not {HASH_DIGITS} hex digits")
    scope = Resource.of(Kind.SCOPE, route.hash, deployment_scope(route))
    if route.unavailable is not None:
        empty = cluster(replace(route, endpoints=()))
        return (*([Resource.of(Kind.CLUSTER, route.hash, empty)] if route.promised else []), scope)
    led = [Resource.of(Kind.CLUSTER, route.hash, cluster(route))]
    if moves(route.endpoints):
        led.append(_endpoints(route.hash, route.endpoints))
    if route.split is not None:
        name = split_name(route.hash, route.split.revision)
        led.append(Resource.of(Kind.CLUSTER, name, split_cluster(route, route.split)))
        led.append(_endpoints(name, route.split.endpoints))
    return (*led, scope)


def _endpoints(name: str, endpoints: Sequence[Endpoint]) -> Resource:
    return Resource.of(Kind.ENDPOINTS, name, assignment(name, endpoints))


def platform_resources() -> tuple[Resource, ...]:
    """Build the scopes of the platform's own paths, which lead to the control process."""
    return tuple(
        Resource.of(Kind.SCOPE, f"platform/{segment}", platform_scope(segment))
        for segment in PLATFORM_SEGMENTS
    )
