"""Who is let in to the API at all: by the names it is called by, and by the pages that call it.

A page of somebody else's, open in the browser of somebody who may use the platform, can reach
whatever that browser reaches. Two doors are shut to it before anything else is looked at:

- *DNS rebinding*: its own name is made to lead here. So only names that are ours are answered; an
  address is nobody's name, and cannot be made to lead elsewhere.
- *Forged requests*: it sends here under our name. Browsers then tell where a request comes from.
"""

from collections.abc import Collection
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from codestore.api.problems import refusal


class Doorway:
    """Refuses what is not for the platform, or does not come from it.

    ``names`` are what the platform is called by, besides its addresses and ``localhost``.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names) | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._ours(host):
            await _MISDIRECTED(scope, receive, send)
        elif not all(_same(origin, host) for origin in headers.getlist("origin")):
            await _FOREIGN(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _ours(self, host: str) -> bool:
        name = _name(host)
        return name in self._names or name.endswith(".localhost") or _address(name)


def _name(host: str) -> str:
    """Return the name or the address in a ``host`` header; nothing for what is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _same(origin: str, host: str) -> bool:
    """Tell whether a page's origin is the host that is asked.

    The scheme is left out: with a proxy for TLS before the gateway, only the browser knows it.
    """
    scheme, _, page = origin.lower().partition("://")
    asked = host.lower()
    usual = {"http": ":80", "https": ":443"}.get(scheme, "")
    return page != "" and page in (asked, asked.removesuffix(usual))


_MISDIRECTED = refusal(
    HTTPStatus.MISDIRECTED_REQUEST,
    "unknown_host",
    "The platform is not called by this name.",
    "Use its address, or start it with the name in CODESTORE_HOSTS.",
)
_FOREIGN = refusal(
    HTTPStatus.FORBIDDEN,
    "foreign_origin",
    "A page of another site may not use the platform.",
    "Use cs, or a program that sends no Origin.",
)
