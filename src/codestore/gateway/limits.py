"""The limits of a deployment that filters enforce: how often it is called, and with how much.

Both filters stand in the listener for all, switched off; a scope that has a limit switches its own
on, which costs a few kilobytes there and nothing elsewhere. What is refused reaches no cluster, so
it wakes nobody. (How many requests are under way at once is counted by a cluster: ``clusters``.)

A body is counted while it streams. Envoy's ``buffer`` filter would refuse as well, but holds all of
a body in memory until then: a few callers at a limit of 100 MiB, and there is no gateway any more,
while a service would see nothing of an upload before its end. Its ``file_system_buffer`` does that
on disk, and Envoy itself declares it unfinished; a script (``lua``) may no longer answer once the
head of a request has gone on. What is left is ``body_size_limit``: the service gets what came
before the limit, then a broken request, and the caller a 413.
"""

from collections.abc import Mapping
from typing import Any

from envoy.config.route.v3.route_components_pb2 import FilterConfig
from envoy.extensions.filters.http.local_ratelimit.v3.local_rate_limit_pb2 import LocalRateLimit
from envoy.type.v3.token_bucket_pb2 import TokenBucket
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.wrappers_pb2 import UInt32Value
from xds.type.v3.typed_struct_pb2 import TypedStruct

from codestore.domain.routing import BURST, Limits
from codestore.gateway.clusters import packed, seconds

_BODY, _RATE = "body", "rate"  # names of filters; every scope repeats them
_TYPE = "type.googleapis.com/envoy.extensions.filters.http"


def body_filter() -> dict[str, Any]:
    """Build the filter that counts bodies. By itself it cannot differ by route, its frame can."""
    config = {"@type": f"{_TYPE}.filter_chain.v3.FilterChainConfig"}
    return {"name": _BODY, "disabled": True, "typed_config": config}


def rate_filter() -> dict[str, Any]:
    """Build the filter that counts requests."""
    config = {"@type": f"{_TYPE}.local_ratelimit.v3.LocalRateLimit", "stat_prefix": "rate"}
    return {"name": _RATE, "disabled": True, "typed_config": config}


def enforced(hash_: str, limits: Limits) -> Mapping[str, Any]:
    """Build what switches filters on for a deployment: once for all its routes, so that they share.

    Whenever anything about the scope changes, the tokens of its rate begin anew.
    """
    made: dict[str, Any] = {}
    if limits.rate is not None:
        made[_RATE] = packed(_rate(hash_, limits.rate))
    if limits.max_body is not None:
        made[_BODY] = packed(_body(limits.max_body))
    return made


def uncounted(limits: Limits) -> Mapping[str, Any]:
    """Build what lets requests of a route take no token: it refuses them anyway."""
    return {} if limits.rate is None else {_RATE: _OFF}


def _rate(hash_: str, rate: float) -> Any:
    tokens = max(1, round(rate))
    return LocalRateLimit(
        stat_prefix=hash_,  # what it refuses is counted under (see ``counting``)
        token_bucket=TokenBucket(
            max_tokens=max(1, round(rate * BURST)),
            tokens_per_fill=UInt32Value(value=tokens),
            fill_interval=seconds(tokens / rate),
        ),
        # By default Envoy limits none.
        filter_enabled={"default_value": {"numerator": 100}},
        filter_enforced={"default_value": {"numerator": 100}},
    )


def _body(size: int) -> Any:
    # As JSON, since the messages of these two filters are not in xds-protos yet.
    limit = {"@type": f"{_TYPE}.body_size_limit.v3.BodySizeLimit", "max_request_bytes": size}
    made = TypedStruct(type_url=f"{_TYPE}.filter_chain.v3.FilterChainConfigPerRoute")
    made.value.update({"filter_chain": {"filters": [{"name": _BODY, "typed_config": limit}]}})
    return made


_OFF: AnyMessage = packed(FilterConfig(disabled=True))
