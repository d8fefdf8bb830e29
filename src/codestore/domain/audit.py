"""What people changed, as a chain: each entry carries a seal over itself and the seal before it.

The seal is HMAC-SHA256 (RFC 2104) under a key that is not in the database. Whoever changes, adds,
moves or drops an entry there breaks the chain; only the newest entries can be cut off unseen, and
that too is seen by whoever noted a seal. One chain for each organization.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from codestore.domain.secret import Secret

BEGINNING: Final = "0" * 64
"""What stands for the seal before the first entry."""


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that somebody did: ``by`` is their name, ``user`` their id."""

    at: datetime
    by: str
    user: str
    act: str
    subject: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A deed at its place in the chain; ``sequence`` counts from 1 in each organization."""

    organization: str
    sequence: int
    deed: Deed
    seal: str


@dataclass(frozen=True, slots=True)
class Chain:
    """How far a chain holds: up to ``sequence``, whose seal is ``seal``.

    ``broken_at`` is the number of the first entry that does not fit, ``None`` when all do.
    """

    sequence: int = 0
    seal: str = BEGINNING
    broken_at: int | None = None


def chained(organization: str, deed: Deed, last: Entry | None, key: Secret) -> Entry:
    """Return the entry for a deed, after the last one."""
    sequence, before = (last.sequence, last.seal) if last is not None else (0, BEGINNING)
    entry = Entry(organization, sequence + 1, deed, "")
    return replace(entry, seal=_seal(entry, before, key))


def verified(chain: Chain, organization: str, entries: Iterable[Entry], key: Secret) -> Chain:
    """Follow a chain on through the entries that come next."""
    for entry in entries:
        if chain.broken_at is not None:
            return chain
        expected = chain.sequence + 1
        fits = entry.sequence == expected and entry.organization == organization
        if not fits or not hmac.compare_digest(_seal(entry, chain.seal, key), entry.seal):
            return replace(chain, broken_at=expected)
        chain = Chain(expected, entry.seal)
    return chain


def _seal(entry: Entry, before: str, key: Secret) -> str:
    deed = entry.deed
    at = deed.at.astimezone(UTC).isoformat(timespec="microseconds")
    said = [before, entry.organization, entry.sequence, at]
    said += [deed.by, deed.user, deed.act, deed.subject, deed.detail]
    return hmac.new(key.reveal().encode(), json.dumps(said).encode(), hashlib.sha256).hexdigest()
