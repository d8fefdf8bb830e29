"""The one listener: everything a request meets that is the same for all deployments.

It is part of the bootstrap, so the port is opened once, when Envoy starts, and a port that is taken
stops Envoy with a clear message instead of being refused later.
"""

from typing import Any

from codestore.gateway.ambiguity import TARGET, TARGET_HEADER
from codestore.gateway.limits import body_filter, rate_filter
from codestore.gateway.problems import local_replies, nobody_filter

# Programs run by the old gateway interface take "proxy" for the one they should use (httpoxy).
FORGED_PREFIXES = ("x-envoy-", "x-forwarded-", "proxy")
FORGED = (
    *("forwarded", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip"),
    *("x-original-url", "x-rewrite-url", "trailer"),
)
"""Headers by which other gateways tell who called and for what (some service believes each), and
those for a gateway alone that Envoy passes on."""
BUFFER_BYTES = 256 * 1024
"""Bytes held per connection before the sender is slowed down."""

_TYPE = "type.googleapis.com/envoy.extensions"


def listener(host: str, port: int) -> dict[str, Any]:
    """Build the listener on a host (an IP address) and a port."""
    manager = {"name": "envoy.http_connection_manager", "typed_config": connection_manager()}
    return {
        "name": "gateway",
        "address": {"socket_address": {"address": host, "port_value": port}},
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "filter_chains": [{"filters": [manager]}],
    }


def connection_manager() -> dict[str, Any]:
    """Build the HTTP connection manager.

    Paths stay as they are sent; what would have to be resolved first (dot segments) is refused
    (``ambiguity``), or an address would mean another one. Empty segments may mean something to a
    service, and for the gateway they only make a first segment that nothing is served under. An
    encoded slash or backslash is refused: one server takes it for a separator, the next does not.

    Filters: each would cost every request a microsecond or two, so all are switched off but where
    a deployment needs one. What is done for all (``scopes``: keys, headers, when to try again) the
    router does by itself.
    """
    behind = [rate_filter(), nobody_filter(), _router()]
    return {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "codec_type": "AUTO",
        "scoped_routes": _scoped_routes(),
        "early_header_mutation_extensions": [_arrival()],
        "http_filters": [body_filter(), *behind],
        "local_reply_config": local_replies(),
        # What comes over a WebSocket is no body.
        "upgrade_configs": [{"upgrade_type": "websocket", "filters": behind}],
        "use_remote_address": True,
        "internal_address_config": {},
        # Nothing writes one down, so it would tell nobody anything. A caller's own is passed on.
        "generate_request_id": False,
        "server_name": "codestore",
        "server_header_transformation": "APPEND_IF_ABSENT",
        "normalize_path": False,
        "merge_slashes": False,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        # Each route says how long it waits; a request that is not complete yet has no route.
        "stream_idle_timeout": "0s",
        "request_headers_timeout": "30s",
        **_protocols(),
    }


def _protocols() -> dict[str, Any]:
    """Build what holds for connections, by the protocol they speak."""
    return {
        "common_http_protocol_options": {
            "idle_timeout": "300s",
            # As nginx does: to many servers x_user and x-user are the same header.
            "headers_with_underscores_action": "DROP_HEADER",
        },
        # Load generators and health checkers still speak it.
        "http_protocol_options": {
            "accept_http_10": True,
            "default_host_for_http_10": "codestore",
            # Who takes this for a proxy is told no: that host would replace the header's.
            "allow_absolute_url": False,
        },
        "http2_protocol_options": {
            "allow_connect": True,
            "max_concurrent_streams": 128,
            "initial_stream_window_size": 64 * 1024,
            "initial_connection_window_size": 1024 * 1024,
        },
    }


def _scoped_routes() -> dict[str, Any]:
    first_segment = {"name": TARGET_HEADER, "element_separator": "/", "index": 1}
    return {
        "name": "scopes",
        "scope_key_builder": {"fragments": [{"header_value_extractor": first_segment}]},
        "rds_config_source": ads(),
        "scoped_rds": {"scoped_rds_config_source": ads()},
    }


def ads() -> dict[str, Any]:
    """Name the control process as the source, to be waited for as long as it takes."""
    return {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}


def _arrival() -> dict[str, Any]:
    """Before the scope is chosen: forget what only we may say, and note the path to choose by.

    A scope key can come from a header only. The path is asked for as it is, because what Envoy
    calls the original path may be claimed by a client.
    """
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {
            "@type": f"{_TYPE}.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": [
                *_forget_forged(),
                _set(TARGET_HEADER, TARGET),
            ],
        },
    }


def _router() -> dict[str, Any]:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": f"{_TYPE}.filters.http.router.v3.Router",
            "suppress_envoy_headers": True,
        },
    }


def _forget_forged() -> list[dict[str, Any]]:
    """Forget what only a gateway may say. Envoy tells anew who called, and over what."""
    prefixes = [{"remove_on_match": {"key_matcher": {"prefix": each}}} for each in FORGED_PREFIXES]
    return [*prefixes, *({"remove": each} for each in FORGED)]


def _set(name: str, value: str) -> dict[str, Any]:
    header = {"key": name, "value": value}
    return {"append": {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
