"""The routes of one scope: who passes, where to, and with which path.

The order of the routes is the rule: the first one refuses what is ambiguous, the last ones whatever
is left. They say as little as possible, because every deployment holds them in memory: what can be
said once for a scope is, and the bodies of refusals are the same for all (``problems``). What a
request needs done (its key taken away, its prefix told, a second try) is said here and not by
filters, which cost each request more.

Every route names its hash again although the scope is chosen by it: should Envoy ever choose a
wrong scope, nothing in it fits, and the answer is 404 rather than someone else's service.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from envoy.config.core.v3.base_pb2 import DataSource, HeaderValue, HeaderValueOption
from envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    HeaderMatcher,
    RetryPolicy,
    RouteAction,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
)
from envoy.config.route.v3.route_components_pb2 import Route as EnvoyRoute
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.config.route.v3.scoped_route_pb2 import ScopedRouteConfiguration
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.wrappers_pb2 import UInt32Value

from codestore.domain.routing import KEY_HEADER, Access, Route, Split
from codestore.gateway.ambiguity import TARGET_HEADER, refusing_route
from codestore.gateway.clusters import packed, seconds, split_name
from codestore.gateway.limits import enforced, uncounted
from codestore.gateway.problems import NOBODY, REASON, noting_nobody

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
PREFIX_HEADER = "x-forwarded-prefix"
"""Header that tells a service what was taken off the path of a request."""

LATER = 1.0
"""Seconds by which the patience with a silent client exceeds the one with a silent service."""
MAX_REASON = 1_000
"""Characters of a reason that are passed on; Envoy takes 4 KiB at most."""
_UNSEEN = "connect-failure,refused-stream,reset-before-request"
_TRIES = UInt32Value(value=2)  # after the first
_QUESTION = HeaderMatcher(name=":method", string_match=StringMatcher(exact="GET"))
# Nobody behind the gateway sees these. Envoy itself adds one of the last two to each request.
_OURS_ALONE = (KEY_HEADER, TARGET_HEADER, "x-envoy-internal", "x-envoy-external-address")


def deployment_scope(route: Route) -> Any:
    """Build the scope of a deployment; raise ``ValueError`` for a key no header can carry.

    What holds for all its routes is said once, for the scope.
    """
    routes = [_uncounted(route, refusing_route()), *_allowed(route), *_refused(route)]
    made = _scope(route.hash, route.hash, routes)
    if route.unavailable is None:
        host = made.route_configuration.virtual_hosts[0]
        _prepare(host, route.hash)
        # Once the request is there in full, the router waits for the service, and what it gives up
        # is counted where the request was led. A time-out of the stream itself, which it needs for
        # the rest, would not be.
        host.retry_policy.per_try_idle_timeout.CopyFrom(seconds(route.limits.idle_timeout))
        for name, config in enforced(route.hash, route.limits).items():
            host.typed_per_filter_config[name].CopyFrom(config)
    return made


def platform_scope(segment: str) -> Any:
    """Build the scope of one of the platform's own first path segments.

    The front page is exactly ``/``: the first segment of ``//{hash}/`` is empty too. A question
    whose connection ends without an answer is asked again: the next control process is there soon,
    and until then its socket takes whoever comes. A wish is not, since it may have been heard.
    """
    match = RouteMatch(path_separated_prefix=f"/{segment}") if segment else RouteMatch(path="/")
    action = RouteAction(cluster=CONTROL_CLUSTER, timeout=seconds(0), idle_timeout=seconds(0))
    question = EnvoyRoute(match=match, route=action)
    question.match.headers.append(_QUESTION)
    question.route.retry_policy.CopyFrom(
        RetryPolicy(retry_on=f"{_UNSEEN},reset", num_retries=_TRIES)
    )
    routes = [refusing_route(), question, EnvoyRoute(match=match, route=action)]
    made = _scope(f"platform/{segment}", segment, routes)
    _prepare(made.route_configuration.virtual_hosts[0])
    return made


def _prepare(host: Any, prefix: str | None = None) -> None:
    """Say what becomes of a request before it leaves, and when it is tried again.

    A second try is made only where no instance can have seen the first one.
    """
    host.request_headers_to_remove.extend(_OURS_ALONE)
    if prefix is not None:
        told = HeaderValue(key=PREFIX_HEADER, value=f"/{prefix}")
        host.request_headers_to_add.add(
            header=told, append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
        )
    host.retry_policy.CopyFrom(RetryPolicy(retry_on=_UNSEEN, num_retries=_TRIES))


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
    """Let the right requests through: everyone's, or those that bring one of the keys.

    Those of clients are counted by route, which costs only them a counter.
    """
    for required, client in _required_headers(route):
        # Two routes, since one prefix cannot turn both "/{hash}/x" into "/x" and "/{hash}" into
        # "/", and a rewriting regular expression would cost more memory than a second route.
        for match in (
            RouteMatch(prefix=f"/{route.hash}/", headers=required),
            RouteMatch(path=f"/{route.hash}", headers=required),
        ):
            made = _answer(route, match)
            if made.HasField("route"):
                made.stat_prefix = client
            yield made


def _answer(route: Route, match: Any) -> Any:
    if route.unavailable is not None:
        reason = route.unavailable[:MAX_REASON]
        return _counted(route, match, reason) if route.promised else _refusal(match, 503, reason)
    action = RouteAction(
        prefix_rewrite="/",
        timeout=seconds(0),
        idle_timeout=seconds(route.limits.idle_timeout + LATER),
    )
    if route.split is None:
        action.cluster = route.hash
    else:
        action.weighted_clusters.CopyFrom(_shares(route.hash, route.split))
    return EnvoyRoute(match=match, route=action)


def _counted(route: Route, match: Any, reason: str) -> Any:
    """Lead requests to where nobody is: the 503 is counted there, its reason comes from here."""
    made = EnvoyRoute(match=match, route=RouteAction(cluster=route.hash))
    made.typed_per_filter_config[NOBODY].CopyFrom(packed(noting_nobody()))
    namespace, key = REASON
    made.metadata.filter_metadata[namespace].fields[key].string_value = reason
    return made


def _shares(hash_: str, split: Split) -> Any:
    """Share the requests out. While nothing takes any there, the split gets none."""
    served = any(not endpoint.draining for endpoint in split.endpoints)
    percent = split.percent if served else 0
    shares = ((hash_, 100 - percent), (split_name(hash_, split.revision), percent))
    return WeightedCluster(
        clusters=[
            WeightedCluster.ClusterWeight(name=name, weight=UInt32Value(value=weight))
            for name, weight in shares
        ]
    )


def _required_headers(route: Route) -> Iterator[tuple[list[Any], str]]:
    """Yield what a request must bring, and which client it is then.

    Developers come first: each key that is tried takes 0.05 µs of a request. A key is compared as
    a whole, length first; with 256 random bits there is nothing to learn from how long that takes.
    """
    if route.access is Access.PUBLIC:
        yield [], ""
        return
    developers = ((key, "") for key in route.keys)
    for key, client in (*developers, *((each.key, each.id) for each in route.callers)):
        value = key.reveal()
        if not value or not value.isascii() or not value.isprintable() or value != value.strip():
            raise ValueError(f"A key of {route.deployment} cannot be the value of a header")
        yield [HeaderMatcher(name=KEY_HEADER, string_match=StringMatcher(exact=value))], client


def _refused(route: Route) -> Iterator[Any]:
    """Refuse the rest: those that bring another key, and those that bring none at all."""
    if route.access is not Access.KEY:
        return
    brought = [HeaderMatcher(name=KEY_HEADER, present_match=True)]
    for headers, status in ((brought, 403), ([], 401)):
        match = RouteMatch(path_separated_prefix=f"/{route.hash}", headers=headers)
        yield _uncounted(route, _refusal(match, status))


def _uncounted(route: Route, refusal: Any) -> Any:
    """Let a refusal cost nothing of the rate of those who may come in."""
    if route.unavailable is None:
        for name, config in uncounted(route.limits).items():
            refusal.typed_per_filter_config[name].CopyFrom(config)
    return refusal


def _refusal(match: Any, status: int, reason: str = "") -> Any:
    body = DataSource(inline_string=reason) if reason else None
    return EnvoyRoute(match=match, direct_response=DirectResponseAction(status=status, body=body))
