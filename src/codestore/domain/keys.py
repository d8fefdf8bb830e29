"""Keys for ``x-user-authorization``: what each opens, for how long, and how it is replaced.

A key has 256 random bits behind a prefix by which people (and whoever searches texts for keys that
leaked) recognise it. A developer key opens every environment of its service or project that asks
for one; a client key opens a project's production only.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from codestore.domain.deployments import Deployment
from codestore.domain.environments import POLICIES, PROJECT_KINDS, Policy
from codestore.domain.faults import conflict, invalid
from codestore.domain.names import shown
from codestore.domain.routing import Access
from codestore.domain.secret import Secret

LONGEST_OVERLAP = timedelta(days=30)
OVERLAP = timedelta(hours=1)
"""How long the old key opens beside the new one, unless people say otherwise."""

MOST_CLIENTS = 100
"""Of a project: the gateway tries their keys one after the other."""

MOST_KEYS = 4
"""That one holder may have at once, old ones included."""

_SHOWN = 6  # digits of a key that people recognise it by: 24 of its 256 bits
_EMAIL = re.compile(r"[!-?A-~]{1,64}@[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){0,7}")


class KeyKind(StrEnum):
    """What a key opens: everything of its scope, or production only."""

    DEVELOPER = "developer"
    CLIENT = "client"


class KeyState(StrEnum):
    """Whether a key is to last, or has been replaced and ends by itself."""

    CURRENT = "current"
    RETIRING = "retiring"


_PREFIXES = {KeyKind.DEVELOPER: "cs_dev_", KeyKind.CLIENT: "cs_cli_"}


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a service or a project (``scope`` is its id), or of a client of that project.

    ``sealed`` opens only with the platform's master key; the plain value is stored nowhere. From
    ``expires_at`` on it opens nothing (``None``: it was not replaced).
    """

    id: str
    scope: str
    kind: KeyKind
    sealed: str
    created_at: datetime
    client: str = ""
    expires_at: datetime | None = None

    @property
    def state(self) -> KeyState:
        """Whether it is to last."""
        return KeyState.CURRENT if self.expires_at is None else KeyState.RETIRING

    def open_at(self, now: datetime) -> bool:
        """Whether it opens anything at all."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True)
class Client:
    """A third party that may call a project's production with a key of its own."""

    id: str
    project: str
    email: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class Usage:
    """How often a client called; its id is the client's.

    ``seen`` is what the gateway's counters said last, by the hash of a deployment, in a ``run`` of
    the gateway; ``used_at`` is about when a call was last seen.
    """

    id: str
    requests: int = 0
    used_at: datetime | None = None
    run: str = ""
    seen: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rotation:
    """What becomes of keys when one is replaced: those to write, and those to forget."""

    fresh: Key
    retiring: tuple[Key, ...] = ()
    ended: tuple[Key, ...] = ()


def plain_key(kind: KeyKind, token: str) -> Secret:
    """Return a key made of 64 random hex digits."""
    return Secret(f"{_PREFIXES[kind]}{token}")


def hint_of(key: Secret) -> str:
    """Return the beginning of a key, by which people know it again, and which opens nothing."""
    prefix, _, digits = key.reveal().rpartition("_")
    return f"{prefix}_{digits[:_SHOWN]}…"


def opens(key: Key, policy: Policy, now: datetime) -> bool:
    """Whether a key of the right scope opens environments with this policy."""
    return key.open_at(now) and (key.kind is KeyKind.DEVELOPER or policy.clients)


def key_scope(deployment: Deployment) -> str:
    """Return what the keys of a deployment belong to; nothing where none is needed."""
    if POLICIES[deployment.kind].access is Access.PUBLIC:
        return ""
    return str(deployment.project if deployment.kind in PROJECT_KINDS else deployment.service)


def opened(kind: KeyKind, scope: str, held: Iterable[Deployment]) -> list[Deployment]:
    """Return those that keys of a kind open, of a service's or a project's."""
    return [
        each
        for each in held
        if (each.project or each.service) == scope
        and POLICIES[each.kind].access is Access.KEY
        and (kind is KeyKind.DEVELOPER or POLICIES[each.kind].clients)
    ]


def rotated(held: Sequence[Key], fresh: Key, now: datetime, overlap: timedelta) -> Rotation:
    """Replace the keys of one holder by a fresh one; each old one opens for ``overlap`` at most.

    Without an overlap all old ones end now, also those that were to last longer. Raises a CONFLICT
    fault when there would be too many.
    """
    open_ = [key for key in held if key.open_at(now)]
    until = now + overlap
    retiring = tuple(
        replace(key, expires_at=until if key.expires_at is None else min(key.expires_at, until))
        for key in open_
        if overlap
    )
    if len(retiring) >= MOST_KEYS:
        first = min(key.expires_at for key in retiring if key.expires_at is not None)
        raise conflict(
            "too_many_keys",
            "Too many keys at once",
            f"{len(retiring)} old keys still open; the first ends at {first:%Y-%m-%d %H:%M} UTC.",
            "Wait until then, or end all old ones now with --overlap 0s.",
        )
    kept = {key.id for key in retiring}
    return Rotation(fresh, retiring, tuple(key for key in held if key.id not in kept))


def check_overlap(seconds: float) -> timedelta:
    """Return an overlap; raise a Fault for one that is none."""
    if not 0 <= seconds <= LONGEST_OVERLAP.total_seconds():
        raise invalid(
            "bad_overlap",
            "Overlap refused",
            f"An old key opens for at most {LONGEST_OVERLAP.days} days beside the new one.",
            hint="As in --overlap 1h, or 0s to end the old one now.",
        )
    return timedelta(seconds=seconds)


def check_email(text: str) -> str:
    """Return an address in lower case; raise a Fault for what is none.

    Only its form is looked at: nothing is ever sent there, it is the name of a client.
    """
    email = text.strip().lower()
    if _EMAIL.fullmatch(email) is None:
        raise invalid(
            "bad_email",
            "Not an e-mail address",
            f'"{shown(text)}" is not an address as in ada@example.org.',
        )
    return email


def check_room(clients: Sequence[Client], project: str) -> None:
    """Refuse another client of a project that has as many as it may."""
    if len(clients) >= MOST_CLIENTS:
        raise conflict(
            "too_many_clients",
            "Too many clients",
            f"{project} has {len(clients)} clients; {MOST_CLIENTS} are the most.",
            f"Remove one: cs project:client:remove {project} --email EMAIL",
        )


def counted(usage: Usage, run: str, totals: Mapping[str, int], now: datetime) -> Usage:
    """Add what the gateway counted since it was last looked at.

    A counter that is lower than it was, or of another run, began at zero meanwhile.
    """
    before = usage.seen if usage.run == run else {}
    came = 0
    for hash_, total in totals.items():
        known = before.get(hash_, 0)
        came += total - known if total >= known else total
    if usage.run == run and usage.seen == dict(totals):
        return usage
    used_at = now if came else usage.used_at
    return Usage(usage.id, usage.requests + came, used_at, run, dict(totals))
