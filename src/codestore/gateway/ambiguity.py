"""Requests that two readers may take for different ones are refused.

Most of this is Envoy's own strictness, said in ``listener``: both length headers, lengths that are
none, broken chunks, characters that do not belong, encoded slashes and backslashes. Here is what
Envoy lets pass or would mend: paths with dot segments in any spelling, which lead elsewhere for
whoever resolves them (``/{hash}/../api``); paths that become others when they are decoded once
more (``%252e``); and hosts that are none, or more than one (Envoy joins two ``host`` headers by a
comma).

A filter for all (RBAC) would cost each request 2 µs of processor; the first route of each scope
costs a tenth of that.
"""

from typing import Any

from envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    HeaderMatcher,
    RouteMatch,
)
from envoy.config.route.v3.route_components_pb2 import Route as EnvoyRoute
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

TARGET_HEADER = "x-codestore-target"
TARGET = "%REQ(:AUTHORITY)%%PATH(NQ:PATH)%"
"""Host and path, as the listener writes them into this header: ``HOST/{hash}/...``, no query."""

AMBIGUOUS = 421
"""The status by which the route that refuses is known; its callers are told 400."""

_HOST = r"/.*|[^/]*[,@].*"  # none, two, or a user in front of it
# "." or "..", as it is or encoded; some servers cut off what follows a semicolon before they look.
_DOTS = r".*/(\.|%2[eE]){1,2}([/;].*)?"
# A dot, slash, backslash, percent sign or NUL in disguise of a disguise: others may follow an
# encoded percent sign, "50%25" is a name like any.
_TWICE = r".*%25(2[eEfF5]|5[cC]|00).*"
_ODD = r".*(\\|%00).*"
_AMBIGUOUS = "|".join((_HOST, _DOTS, _TWICE, _ODD))


def refusing_route() -> Any:
    """Build the route that refuses what is ambiguous."""
    regex = StringMatcher(safe_regex=RegexMatcher(regex=_AMBIGUOUS))
    match = RouteMatch(prefix="/", headers=[HeaderMatcher(name=TARGET_HEADER, string_match=regex)])
    return EnvoyRoute(match=match, direct_response=DirectResponseAction(status=AMBIGUOUS))


def _header(name: str, **match: Any) -> dict[str, Any]:
    return {"name": name, "string_match": match}


# As matchers of headers, by which ``problems`` tells what was refused:
NO_PATH = _header(":path", safe_regex={"regex": "[^/].*"})
"""What Envoy refuses by itself, with a 404: a whole URL (for a proxy) where a path should be."""
FOREIGN_UPGRADE = {
    **_header("upgrade", exact="websocket", ignore_case=True),
    "invert_match": True,
}
"""What Envoy refuses by itself, with a 403: to become another protocol."""
