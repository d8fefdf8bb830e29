"""Where the requests of a deployment go: its cluster, and the endpoints in it."""

from collections.abc import Sequence
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

from codestore.domain.routing import Endpoint, Route

# Only Envoy closes idle connections, and soon: a Unix socket costs nothing to reopen, and an
# instance that never closes one itself cannot close it just as it is being used again.
UPSTREAM_IDLE_SECONDS = 1
# No limit anyone should meet: how many requests an instance takes at once is decided elsewhere.
UPSTREAM_LIMIT = 16_384


def cluster(route: Route) -> Any:
    """Build the cluster of a route.

    Endpoints that never move are part of it, which is the smallest thing Envoy can hold. Others
    come as a resource of their own: replacing a whole cluster would lose sight of the requests
    that a draining endpoint still has.
    """
    made = Cluster(
        name=route.hash,
        connect_timeout=seconds(route.limits.connect_timeout),
        circuit_breakers=_BREAKERS,
        common_lb_config=_NEVER_PANIC,
        typed_extension_protocol_options={_HTTP: _HTTP1_UPSTREAM},
    )
    if moves(route.endpoints):
        made.type = Cluster.EDS
        made.lb_policy = Cluster.LEAST_REQUEST
        made.eds_cluster_config.eds_config.CopyFrom(_OVER_ADS)
    else:
        made.type = Cluster.STATIC
        # With one endpoint every policy is the same; this one keeps no state of its own.
        made.lb_policy = Cluster.RANDOM
        made.load_assignment.CopyFrom(assignment(route.hash, route.endpoints))
        # Another revision is another cluster to Envoy: it opens connections of its own, which only
        # the new version accepts, while the old ones end with the requests they have.
        made.metadata.filter_metadata[_OURS].fields["revision"].number_value = route.revision
    return made


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


def _endpoint(endpoint: Endpoint) -> Any:
    return LbEndpoint(
        endpoint=EnvoyEndpoint(address=address(endpoint.address)),
        health_status=HealthStatus.DRAINING if endpoint.draining else HealthStatus.UNKNOWN,
    )


def _packed(message: Any) -> Any:
    packed = AnyMessage()
    packed.Pack(message, deterministic=True)
    return packed


_OURS = "codestore"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_HTTP1_UPSTREAM = _packed(
    upstream.HttpProtocolOptions(
        common_http_protocol_options=HttpProtocolOptions(
            idle_timeout=seconds(UPSTREAM_IDLE_SECONDS)
        ),
        explicit_http_config=upstream.HttpProtocolOptions.ExplicitHttpConfig(
            http_protocol_options=Http1ProtocolOptions()
        ),
    )
)
_BREAKERS = CircuitBreakers(
    thresholds=[
        CircuitBreakers.Thresholds(
            max_connections=UInt32Value(value=UPSTREAM_LIMIT),
            max_pending_requests=UInt32Value(value=UPSTREAM_LIMIT),
            max_requests=UInt32Value(value=UPSTREAM_LIMIT),
            max_retries=UInt32Value(value=UPSTREAM_LIMIT),
        )
    ]
)
# By default Envoy sends requests to draining endpoints when too few others are left.
_NEVER_PANIC = Cluster.CommonLbConfig(healthy_panic_threshold=Percent(value=0))
_OVER_ADS = ConfigSource(
    ads=AggregatedConfigSource(),
    resource_api_version=ApiVersion.V3,
    initial_fetch_timeout=seconds(0),
)
