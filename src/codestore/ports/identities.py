"""Who somebody is, as an OpenID provider knows them."""

from dataclasses import dataclass
from typing import Protocol

from codestore.domain.secret import Secret


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody does to be let in (RFC 8628): open ``uri`` and enter ``user_code``.

    ``complete_uri`` has the code in it, if there is one. ``device_code`` is what to collect with,
    every ``interval`` seconds, for ``expires_in`` seconds.
    """

    device_code: Secret
    user_code: str
    uri: str
    complete_uri: str | None
    expires_in: float
    interval: float


@dataclass(frozen=True, slots=True)
class Pending:
    """They have not decided yet; ``slower``: it was asked too often, wait 5 seconds more."""

    slower: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody: ``subject`` is theirs for ever, the address is one that was verified."""

    subject: str
    email: str


class Identities(Protocol):
    """An OpenID provider, asked on behalf of a device that has no browser."""

    async def ask(self) -> Asked:
        """Begin. Raises an UNAVAILABLE fault when the provider does not answer."""

    async def collect(self, device_code: Secret) -> Identity | Pending:
        """Return who has let the device in. Raises an UNAUTHENTICATED fault when nobody did."""
