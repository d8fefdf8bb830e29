"""The routes of one scope: who passes, where to, and with which path.

The order of the routes is the rule; the last one refuses. They say as little as possible, because
every deployment pays for them: what is the same for all (removing the key, naming the prefix, when
to try again, the bodies of refusals) is done once, in ``listener`` and ``problems``.

Every route names its hash again although the scope is chosen by it: should Envoy ever choose a
wrong scope, nothing in it fits, and the answer is 404 rather than someone else's service.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    HeaderMatcher,
    RouteAction,
    RouteMatch,
    VirtualHost,
)
from envoy.config.route.v3.route_components_pb2 import Route as EnvoyRoute
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.config.route.v3.scoped_route_pb2 import ScopedRouteConfiguration
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from envoy.type.v3.range_pb2 import Int64Range

from codestore.domain.routing import KEY_HEADER, Access, Route
from codestore.gateway.clusters import seconds

CONTROL_CLUSTER = "control"
PLATFORM_SEGMENTS = (
    "",
    "api",
    "docs",
    "redoc",
    "openapi.json",
    "metrics",
    "console",
    "static",
    "favicon.ico",
)
MAX_REASON = 1_000
"""Characters of a reason that are passed on; Envoy takes 4 KiB at most."""


def deployment_scope(route: Route) -> Any:
    """Build the scope of a deployment; raise ``ValueError`` for a key no header can carry."""
    return _scope(route.hash, route.hash, [*_too_large(route), *_allowed(route), *_refused(route)])


def platform_scope(segment: str) -> Any:
    """Build the scope of one of the platform's own first path segments.

    The front page is exactly ``/``: the first segment of ``//{hash}/`` is empty too.
    """
    match = RouteMatch(path_separated_prefix=f"/{segment}") if segment else RouteMatch(path="/")
    action = RouteAction(cluster=CONTROL_CLUSTER, timeout=seconds(0), idle_timeout=seconds(0))
    return _scope(f"platform/{segment}", segment, [EnvoyRoute(match=match, route=action)])


def _scope(name: str, segment: str, routes: Sequence[Any]) -> Any:
    key = ScopedRouteConfiguration.Key(
        fragments=[ScopedRouteConfiguration.Key.Fragment(string_key=segment)]
    )
    host = VirtualHost(name=name, domains=["*"], routes=routes)
    return ScopedRouteConfiguration(
        name=name,
        key=key,
        route_configuration=RouteConfiguration(name=name, virtual_hosts=[host]),
    )


def _allowed(route: Route) -> Iterator[Any]:
    """Let the right requests through: everyone's, or those that bring one of the keys."""
    for required in _required_headers(route):
        # Two routes, since one prefix cannot turn both "/{hash}/x" into "/x" and "/{hash}" into
        # "/", and a rewriting regular expression would cost more memory than a second route.
        for match in (
            RouteMatch(prefix=f"/{route.hash}/", headers=required),
            RouteMatch(path=f"/{route.hash}", headers=required),
        ):
            yield _answer(route, match)


def _answer(route: Route, match: Any) -> Any:
    if route.unavailable is not None:
        return _refusal(match, 503, route.unavailable[:MAX_REASON])
    action = RouteAction(
        cluster=route.hash,
        prefix_rewrite="/",
        timeout=seconds(0),
        idle_timeout=seconds(route.limits.idle_timeout),
    )
    # The listener tells the service its prefix by the name of the route.
    return EnvoyRoute(name=f"/{route.hash}", match=match, route=action)


def _required_headers(route: Route) -> Iterator[list[Any]]:
    if route.access is Access.PUBLIC:
        yield []
        return
    for key in route.keys:
        value = key.reveal()
        if not value or not value.isascii() or not value.isprintable() or value != value.strip():
            raise ValueError(f"A key of {route.deployment} cannot be the value of a header")
        yield [HeaderMatcher(name=KEY_HEADER, string_match=StringMatcher(exact=value))]


def _refused(route: Route) -> Iterator[Any]:
    """Refuse the rest; ``problems`` makes a 401 of the 403 where no key was brought at all."""
    if route.access is Access.KEY:
        yield _refusal(RouteMatch(path_separated_prefix=f"/{route.hash}"), 403)


def _too_large(route: Route) -> Iterator[Any]:
    """Refuse a body that is announced as too large, before a byte of it is read."""
    limit = route.limits.max_body
    if limit is not None:
        large = Int64Range(start=limit + 1, end=2**63 - 1)
        announced = HeaderMatcher(name="content-length", range_match=large)
        match = RouteMatch(path_separated_prefix=f"/{route.hash}", headers=[announced])
        yield _refusal(match, 413)


def _refusal(match: Any, status: int, reason: str = "") -> Any:
    body = DataSource(inline_string=reason) if reason else None
    return EnvoyRoute(match=match, direct_response=DirectResponseAction(status=status, body=body))
