"""How often the API may be asked: a bucket of requests for each token, refilled all the time.

Whoever brings no token, or one that has not been good yet, is counted by address: guessing tokens
is slow, and those that are good are not in each other's way, whatever comes from the same address.
"""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codestore.api.problems import refusal

BURST = 4.0  # seconds of a rate that may come at once
GUESSES = 0.2  # of the rate of a good token: so often an address may come without one
KEPT = 10_000  # tokens, and addresses, that are remembered: about 3 MB
V6_NETWORK = 64  # bits of an address: one who has a network has all addresses in it


@dataclass(slots=True)
class Buckets:
    """Token buckets by key, at most ``kept`` of them: whoever was quiet longest is forgotten.

    ``rate`` is in requests per second, ``BURST`` times that a bucket holds.
    """

    rate: float
    kept: int = KEPT
    now: Callable[[], float] = time.monotonic
    _held: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def __contains__(self, key: str) -> bool:
        return key in self._held

    def take(self, key: str) -> float:
        """Take a request's worth; return 0, or the seconds until there is one."""
        now, size = self.now(), max(1.0, self.rate * BURST)
        level, then = self._held.pop(key, (size, now))
        level = min(size, level + (now - then) * self.rate)
        wait = 0.0 if level >= 1 else (1 - level) / self.rate
        self._held[key] = (level if wait else level - 1, now)
        if len(self._held) > self.kept:
            self._held.popitem(last=False)
        return wait

    def forget(self, key: str) -> None:
        """Forget a key."""
        self._held.pop(key, None)


class Rates:
    """Refuses who asks too often: 429, with the seconds to wait."""

    def __init__(
        self, app: ASGIApp, rate: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._tokens, self._addresses = Buckets(rate, now=now), Buckets(rate * GUESSES, now=now)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless there were too many."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        brought = headers.get("authorization", "")
        token = hashlib.sha256(brought.encode()).hexdigest() if brought else ""
        known = token in self._tokens
        wait = self._tokens.take(token) if known else self._addresses.take(_address(headers))
        if wait:
            await _too_many(wait)(scope, receive, send)
            return

        async def learn(message: Message) -> None:
            if message["type"] == "http.response.start" and token:
                self._learn(token, good=message["status"] != HTTPStatus.UNAUTHORIZED)
            await send(message)

        await self._app(scope, receive, learn)

    def _learn(self, token: str, *, good: bool) -> None:
        if not good:
            self._tokens.forget(token)
        elif token not in self._tokens:
            self._tokens.take(token)


def _address(headers: Headers) -> str:
    """Return who asks, as the gateway tells; whoever is not known shares one bucket."""
    told = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    try:
        address = ip_address(told)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        return str(int(address) >> (128 - V6_NETWORK))
    return str(address)


def _too_many(wait: float) -> ASGIApp:
    return refusal(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too_many_requests",
        "The platform is asked more often than it may be.",
        "Ask less often; Retry-After says when there is room again.",
        {"Retry-After": str(math.ceil(wait))},
    )
