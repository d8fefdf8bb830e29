"""Organizations, and how their users prove who they are: personal tokens and passwords."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from codestore.domain.faults import invalid
from codestore.domain.secret import Secret

TOKEN_PREFIX: Final = "cs_pat_"  # noqa: S105 - how tokens begin
MOST_DAYS: Final = 365  # that a personal token may live
USUAL_DAYS: Final = 90
_LABEL_LIMIT = 100  # characters


@dataclass(frozen=True, slots=True)
class Organization:
    """Who owns services, projects and users; its id is its name, which stays."""

    id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Token:
    """A personal token of a user. ``digest`` is its SHA-256, hex; the token is kept nowhere.

    ``expires_at`` is ``None`` for the one in the platform's own folder only: who reads that folder
    has the master key as well.
    """

    id: str
    user: str
    label: str
    digest: str
    created_at: datetime
    expires_at: datetime | None

    def opens(self, digest: str, now: datetime) -> bool:
        """Whether this digest is its own, compared in constant time, and it has not expired."""
        same = hmac.compare_digest(self.digest.encode(), digest.encode())
        return same and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Password:
    """What is kept of a user's password; ``id`` is the user's. See :mod:`~.passwords`."""

    id: str
    hashed: str


def token_digest(token: Secret) -> str:
    """Return what is kept of a token. One round is enough: there are 256 bits to guess."""
    return hashlib.sha256(token.reveal().encode("utf-8", "replace")).hexdigest()


def checked_label(label: str) -> str:
    """Return what a token is called when it is a line of text; raise a Fault otherwise."""
    label = label.strip()
    if not label or len(label) > _LABEL_LIMIT or not label.isprintable():
        raise invalid(
            "bad_label",
            "Name of the token refused",
            f"A token is called by one line of plain text, of at most {_LABEL_LIMIT} characters.",
        )
    return label


def end_of(days: int, now: datetime) -> datetime:
    """Return when a token that lives so many days expires; raise a Fault for too many."""
    if not 1 <= days <= MOST_DAYS:
        raise invalid(
            "bad_days",
            "Not a life of a token",
            f"A token lives 1 to {MOST_DAYS} days, not {days}.",
            hint="cs token:add --days 90",
        )
    return now + timedelta(days=days)
