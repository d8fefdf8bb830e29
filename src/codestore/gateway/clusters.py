"""Where the requests of a deployment go: its cluster, and the endpoints in it."""

from collections.abc import Sequence
from hashlib import sha256
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import Address, Pipe, SocketAddress
from envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ApiVersion, ConfigSource
from envoy.config.core.v3.health_check_pb2 import HealthStatus
from envoy.config.core.v3.protocol_pb2 import Http1ProtocolOptions, HttpProtocolOptions
from envoy.config.endpoint.v3.endpoint_components_pb2 import (
    Endpoint as EnvoyEndpoint,
)
from envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as upstream
from envoy.type.v3.percent_pb2 import Percent
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.wrappers_pb2 import UInt32Value

from codestore.domain.routing import Endpoint, Route, Split

# Only Envoy closes idle connections, and soon: a Unix socket costs nothing to reopen, and an
# instance that never closes one itself cannot close it just as it is being used again.
UPSTREAM_IDLE_SECONDS = 1
# No limit anyone should meet, where a route sets none.
UPSTREAM_LIMIT = 16_384


def cluster(route: Route) -> Any:
    """Build the cluster of a route.

    Endpoints that never move are part of it, which is the smallest thing Envoy can hold. Others
    come as a resource of their own: replacing a whole cluster would lose sight of the requests
    that a draining endpoint still has.
    """
    made = _cluster(route.hash, route)
    if moves(route.endpoints):
        _follow(made)
    else:
        made.type = Cluster.STATIC
        # With one endpoint every policy is the same; this one keeps no state of its own.
        made.lb_policy = Cluster.RANDOM
        made.load_assignment.CopyFrom(assignment(route.hash, route.endpoints))
        # Another revision is another cluster to Envoy: it opens connections of its own, which only
        # the new version accepts, while the old ones end with the requests they have.
        made.metadata.filter_metadata[_OURS].fields["revision"].number_value = route.revision
    return _counted(made)


def split_cluster(route: Route, split: Split) -> Any:
    """Build the cluster that a share of the requests of a route goes to.

    Its endpoints always come as a resource of their own, private sockets too: the share grows by
    adding some, and neither its counters nor its connections may begin anew then. For the same
    reason its limit of requests under way is that of the whole and not its share of it.
    """
    made = _cluster(split_name(route.hash, split.revision), route)
    _follow(made)
    return _counted(made)


def split_name(hash_: str, revision: int) -> str:
    """Name the cluster of a split: by its revision too, so that each canary is counted alone."""
    return f"{hash_}-{revision}"


def _cluster(name: str, route: Route) -> Any:
    return Cluster(
        name=name,
        connect_timeout=seconds(route.limits.connect_timeout),
        circuit_breakers=_breakers(route.limits.max_requests),
        common_lb_config=_NEVER_PANIC,
        typed_extension_protocol_options={_HTTP: _HTTP1_UPSTREAM},
    )


def _counted(made: Any) -> Any:
    """Name what a cluster counts under: its name, and a digest of all there is to it.

    A cluster that is changed is a new one to Envoy, but under the same name it would go on with
    some of the old one's counters and begin others anew (those by class of status), as it happens.
    ``counting`` knows the form of these names; a dot would be the end of one to Envoy.
    """
    digest = sha256(made.SerializeToString(deterministic=True)).hexdigest()[:8]
    made.alt_stat_name = f"{made.name}-{digest}"
    return made


def _breakers(max_requests: int | None) -> Any:
    """Limit the requests under way. A further one is refused when it is about to be handed over.

    A connection may have been opened for it by then, which nothing is sent on. The workers of Envoy
    count together but do not wait for each other: there may be one too many for each but the first.
    """
    limit = CircuitBreakers.Thresholds(
        max_connections=_UNLIMITED,
        max_pending_requests=_UNLIMITED,
        max_requests=_UNLIMITED if max_requests is None else UInt32Value(value=max_requests),
        max_retries=_UNLIMITED,
    )
    return CircuitBreakers(thresholds=[limit])


def _follow(made: Any) -> None:
    """Have the endpoints of a cluster come and go without it."""
    made.type = Cluster.EDS
    made.lb_policy = Cluster.LEAST_REQUEST
    made.eds_cluster_config.eds_config.CopyFrom(_OVER_ADS)


def moves(endpoints: Sequence[Endpoint]) -> bool:
    """Tell whether endpoints come and go (ports do, the shared socket of a deployment does not)."""
    return any(not endpoint.address.startswith("unix:") for endpoint in endpoints)


def assignment(name: str, endpoints: Sequence[Endpoint]) -> Any:
    """Build the endpoints of a cluster. A draining one keeps its requests and gets no new ones."""
    return ClusterLoadAssignment(
        cluster_name=name,
        endpoints=[LocalityLbEndpoints(lb_endpoints=[_endpoint(each) for each in endpoints])],
    )


def address(uri: str) -> Any:
    """Read ``unix:/path`` or ``tcp://address:port``; raise ``ValueError`` for anything else."""
    parts = urlsplit(uri)
    if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
        return Address(pipe=Pipe(path=uri.removeprefix("unix:")))
    if parts.scheme == "tcp" and parts.hostname and parts.port and not parts.path:
        host = str(ip_address(parts.hostname))
        return Address(socket_address=SocketAddress(address=host, port_value=parts.port))
    raise ValueError(f"{uri!r} is neither unix:/path nor tcp://address:port")


def seconds(value: float) -> Any:
    """Say a number of seconds as protobuf does."""
    whole = Duration()
    whole.FromNanoseconds(round(value * 1e9))
    return whole


def packed(message: Any) -> Any:
    """Wrap a message as one of any type."""
    made = AnyMessage()
    made.Pack(message, deterministic=True)
    return made


def _endpoint(endpoint: Endpoint) -> Any:
    return LbEndpoint(
        endpoint=EnvoyEndpoint(address=address(endpoint.address)),
        health_status=HealthStatus.DRAINING if endpoint.draining else HealthStatus.UNKNOWN,
    )


_OURS = "codestore"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_HTTP1_UPSTREAM = packed(
    upstream.HttpProtocolOptions(
        common_http_protocol_options=HttpProtocolOptions(
            idle_timeout=seconds(UPSTREAM_IDLE_SECONDS)
        ),
        explicit_http_config=upstream.HttpProtocolOptions.ExplicitHttpConfig(
            http_protocol_options=Http1ProtocolOptions()
        ),
    )
)
_UNLIMITED = UInt32Value(value=UPSTREAM_LIMIT)
# By default Envoy sends requests to draining endpoints when too few others are left.
_NEVER_PANIC = Cluster.CommonLbConfig(healthy_panic_threshold=Percent(value=0))
_OVER_ADS = ConfigSource(
    ads=AggregatedConfigSource(),
    resource_api_version=ApiVersion.V3,
    initial_fetch_timeout=seconds(0),
)
