"""Secrets of people: where one may be set, which one wins, and what a version was given.

A secret has a key and a value, and is set at a *scope*. A service gets, as variables, the secrets
of all scopes that it stands in; where several set the same key, the nearest wins. In a project
these are the project, the environment, and the service in that environment; for a service's own
environments the service, and one of them. Values are sealed: nothing here has ever seen one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from codestore.domain.faults import invalid
from codestore.domain.names import shown

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
LONGEST_VALUE = 32 * 1024
"""Bytes of one value: Linux takes at most 128 KiB in one variable."""
MOST_BYTES = 64 * 1024
"""Bytes of all keys and values at one scope; an instance gets those of three."""
MISSING = "secret_missing"
"""The code of the fault of a change that lacks a secret."""
_RESERVED = frozenset(
    {
        *("PATH", "HOME", "LANG", "TMPDIR", "PORT", "NOTIFY_SOCKET", "WOKEN_AT"),
        *("PROJECT_ID", "ENVIRONMENT_ID", "SERVICE_ID"),
        *("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH"),
    }
)
_RESERVED_PREFIXES = ("CS_", "CODESTORE_", "DATABASE_", "REDIS_", "LISTEN_", "LD_")


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a secret is set, in ids. Prints as what it is stored and sealed under.

    ``project`` alone, with ``environment``, or with all three; without a project ``service``
    alone (its own environments), or with ``environment`` (one of them).
    """

    project: str | None = None
    environment: str | None = None
    service: str | None = None

    def __str__(self) -> str:
        return "/".join(part or "-" for part in (self.project, self.environment, self.service))


class Level(StrEnum):
    """How far a scope reaches, in the words that people see."""

    PROJECT = "project"
    ENVIRONMENT = "environment"
    SERVICE = "service"


def level_of(scope: Scope) -> Level:
    """Return the level of a scope; ``service`` alone is what both its own environments get."""
    if scope.project is not None and scope.service is None:
        return Level.PROJECT if scope.environment is None else Level.ENVIRONMENT
    if scope.project is None and scope.environment is not None:
        return Level.ENVIRONMENT
    return Level.SERVICE


def chain_of(scope: Scope) -> tuple[Scope, ...]:
    """Return the scopes whose secrets reach this one, the widest first, itself last."""
    project, environment, service = scope.project, scope.environment, scope.service
    if project is None:
        both = (Scope(service=service), scope)
        return both if environment is not None else both[:1]
    chain = [Scope(project)]
    if environment is not None:
        chain.append(Scope(project, environment))
        if service is not None:
            chain.append(scope)
    return tuple(chain)


@dataclass(frozen=True, slots=True)
class DataKey:
    """An organization's key, wrapped by the master key that ``master`` names."""

    id: str
    organization: str
    master: str
    wrapped: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A secret as it is kept. It opens under ``data_key``, at its own scope and key only."""

    id: str
    organization: str
    scope: Scope
    key: str
    data_key: str
    sealed: str
    set_by: str
    set_at: datetime

    @property
    def place(self) -> tuple[str, ...]:
        """What it is bound to: sealed here, it opens nowhere else."""
        return ("secret", self.organization, str(self.scope), self.key)


@dataclass(frozen=True, slots=True)
class SecretSet:
    """All secrets that a version was given in a deployment, sealed as one. Never changed."""

    id: str
    organization: str
    deployment: str
    number: str
    data_key: str
    sealed: str
    created_at: datetime

    @property
    def place(self) -> tuple[str, ...]:
        """What it is bound to."""
        return ("set", self.organization, self.deployment, self.number, self.id)


@dataclass(frozen=True, slots=True)
class SetRef:
    """Names a set in a deployment's spec: for which revision, and the keys that are in it."""

    id: str
    revision: int
    keys: tuple[str, ...] = ()


def check_key(key: str) -> str:
    """Return ``key`` when it may name a secret; raise a Fault otherwise."""
    if not KEY.fullmatch(key):
        raise invalid(
            "bad_secret_key",
            "Not a name for a secret",
            f'"{shown(key)}" cannot be the name of a variable.',
            hint="Use letters, digits and _, not a digit first, at most 128; as in API_TOKEN.",
        )
    if reserved(key):
        raise invalid(
            "reserved_secret_key",
            "The name is taken",
            f"{key} is set by the platform itself.",
            hint="Choose another name.",
        )
    return key


def reserved(key: str) -> bool:
    """Whether the platform itself sets a variable of this name, or the system obeys it."""
    return key in _RESERVED or key.startswith(_RESERVED_PREFIXES)


def check_value(value: str) -> str:
    """Return ``value`` when a variable can hold it; empty is a value. Never shows it."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        size = LONGEST_VALUE + 1
    if "\0" in value or size > LONGEST_VALUE:
        raise invalid(
            "bad_secret_value",
            "Value refused",
            f"A value is text without NUL, of at most {LONGEST_VALUE} bytes.",
            hint="Keep large things in a file or a database, and its address in the secret.",
        )
    return value


def resolved(chain: Iterable[Scope], secrets: Iterable[SealedSecret]) -> Mapping[str, SealedSecret]:
    """Return the secret that wins for each key, in the order of the keys."""
    rank = {scope: place for place, scope in enumerate(chain)}
    reaching = sorted((s for s in secrets if s.scope in rank), key=lambda s: rank[s.scope])
    winners = {secret.key: secret for secret in reaching}  # the nearest comes last
    return dict(sorted(winners.items()))


def rivals(
    chain: Iterable[Scope], secrets: Iterable[SealedSecret], key: str
) -> tuple[tuple[Scope, SealedSecret | None], ...]:
    """Return every scope of a chain, the nearest first, with what it says for one key."""
    said = {secret.scope: secret for secret in secrets if secret.key == key}
    return tuple((scope, said.get(scope)) for scope in reversed(tuple(chain)))
