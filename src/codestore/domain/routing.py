"""Which deployment a URL leads to, who may call it, and where its instances answer.

A route is data with rules, not a URL column: the gateway turns it into whatever its proxy needs.
"""

from dataclasses import dataclass
from enum import StrEnum

from codestore.domain.secret import Secret

HASH_DIGITS = 32
KEY_HEADER = "x-user-authorization"


class Access(StrEnum):
    """Who may call a deployment: anyone with the link, or holders of a key."""

    KEY = "key"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests can be handed in. ``address`` is the driver's word (a URI), opaque here."""

    address: str
    draining: bool = False


BURST = 4.0
"""Seconds of a rate that may come at once, after nobody came for as long."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a route enforces. Seconds and bytes; ``None`` means no limit.

    ``idle_timeout`` is how long nothing may be sent, neither the first byte of an answer nor the
    next one. ``rate`` counts requests per second (see ``BURST``), ``max_requests`` those that are
    under way at once; both over all instances. While a version is changed, ``max_requests`` holds
    for each of the two: for what a split leads to the new one, and for those that the old one still
    finishes. So for a moment there may be twice as many.
    """

    idle_timeout: float = 300.0
    connect_timeout: float = 5.0
    max_body: int | None = None
    rate: float | None = None
    max_requests: int | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """A share of the requests, in percent, goes to these endpoints: those of another revision."""

    percent: int
    revision: int
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """A client with a key of its own. Its requests are counted by its id, whatever the key."""

    id: str
    key: Secret


@dataclass(frozen=True, slots=True)
class Route:
    """One deployment as the gateway sees it.

    ``hash`` is the first path segment (32 hex digits, not guessable); it is not passed on.
    With ``Access.KEY`` a request needs one of ``keys`` or the key of one of ``callers`` in
    ``x-user-authorization``; the header is removed before the service sees the request.
    ``unavailable`` replaces the endpoints by a 503 that gives this reason. ``revision`` moves with
    the version behind a shared endpoint: from then on no connection is used that leads to the one
    before. ``split`` leads a share elsewhere.
    With ``promised`` whatever is not served is counted, too: also what is ``unavailable``.
    """

    hash: str
    deployment: str
    access: Access
    keys: tuple[Secret, ...]
    endpoints: tuple[Endpoint, ...]
    limits: Limits = Limits()
    unavailable: str | None = None
    revision: int = 0
    split: Split | None = None
    promised: bool = False
    callers: tuple[Caller, ...] = ()

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Everything in it that nobody may read in a message about it."""
        return (*self.keys, *(caller.key for caller in self.callers))
