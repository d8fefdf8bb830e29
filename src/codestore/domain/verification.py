"""Verification: what was tried from inside a deployment, and whether its walls held.

An attempt is made where the deployment's code runs and with what that has. Its answer is a word:
``reached``, ``skipped``, ``none``, an error's name (``ENOENT``, ``timeout``), ``sql`` with
PostgreSQL's code or ``http`` with a status; the first two may go on behind a colon. What is neither
a success nor a known refusal proves nothing, and is told as not tried.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from codestore.domain.deployments import Deployment
from codestore.domain.names import shown

PLATFORM: Final = "platform"
"""Whose things are that belong to no deployment."""
REACHED: Final = "reached"
SKIPPED: Final = "skipped"
NO_ANSWER: Final = ""
_NIGHT: Final = timedelta(hours=1)  # after midnight UTC
_LASTS: Final = timedelta(hours=4)
_CALM: Final = timedelta(minutes=1)  # after a start
_SPREAD: Final = timedelta(minutes=10)


class Wall(StrEnum):
    """A kind of wall: the columns of the matrix."""

    DATABASES = "databases"
    FILES = "files"
    PROCESSES = "processes"
    SOCKETS = "sockets"
    PORTS = "ports"
    VARIABLES = "variables"
    GATEWAY = "gateway"
    METADATA = "metadata"


class Aim(StrEnum):
    """What is tried, in the words that people read."""

    OWN_HOME = "write in our own home"
    OWN_DATABASE = "log in to our own database"
    DATABASE = "enter its database by our login"
    ROLE = "enter its database as its role, with our password"
    STATE = "enter a database of the server by our login"
    HOME = "list its home"
    CODE = "list its code"
    LOGS = "list its logs"
    MASTER_KEY = "read the master key"
    KEYRING = "read the keys of secrets"
    PROFILE = "read the token of the owner"
    BUNDLES = "list the sealed bundles"
    CLUSTER = "list the files of PostgreSQL"
    PLATFORM_LOGS = "list the logs of the platform"
    PROCESSES = "see processes of others"
    SOCKET = "connect to its socket"
    KEEPER = "connect to the keeper"
    ADMIN = "connect to the gateway's admin"
    DISCOVERY = "connect to the gateway's configuration"
    API = "connect to the socket of the API"
    PORT = "connect to its port"
    PASSWORD = "find its database password in our variables"  # noqa: S105 - words
    NAMES = "find variables that we were not given"
    NO_KEY = "call it without a key"
    MADE_UP_KEY = "call it with a made-up key"
    OUR_KEY = "call it with the key of our developers"
    METADATA = "ask a metadata service"
    MORE = "try this neighbour too"


CONTROLS: Final = frozenset({Aim.OWN_HOME, Aim.OWN_DATABASE})
"""What must succeed: whoever can do nothing at all has proved nothing."""
_WALLS: Final[Mapping[Wall, tuple[Aim, ...]]] = {
    Wall.DATABASES: (Aim.OWN_DATABASE, Aim.DATABASE, Aim.ROLE, Aim.STATE),
    Wall.FILES: (
        *(Aim.OWN_HOME, Aim.HOME, Aim.CODE, Aim.LOGS, Aim.MASTER_KEY, Aim.KEYRING, Aim.PROFILE),
        *(Aim.BUNDLES, Aim.CLUSTER, Aim.PLATFORM_LOGS, Aim.MORE),
    ),
    Wall.PROCESSES: (Aim.PROCESSES,),
    Wall.SOCKETS: (Aim.SOCKET, Aim.KEEPER, Aim.ADMIN, Aim.DISCOVERY, Aim.API),
    Wall.PORTS: (Aim.PORT,),
    Wall.VARIABLES: (Aim.PASSWORD, Aim.NAMES),
    Wall.GATEWAY: (Aim.NO_KEY, Aim.MADE_UP_KEY, Aim.OUR_KEY),
    Wall.METADATA: (Aim.METADATA,),
}
WALL_OF: Final[Mapping[Aim, Wall]] = {aim: wall for wall, aims in _WALLS.items() for aim in aims}
_REFUSALS: Final[Mapping[str, str]] = {
    "ENOENT": "not there",
    "ENOTDIR": "not there",
    "EACCES": "not allowed",
    "EPERM": "not allowed",
    "ECONNREFUSED": "nobody listens",
    "ECONNRESET": "cut off",
    "ENETUNREACH": "no way there",
    "EHOSTUNREACH": "no way there",
    "EADDRNOTAVAIL": "no way there",
    "EAFNOSUPPORT": "no way there",
    "ENETDOWN": "no way there",
    "timeout": "no answer",
    "none": "none",
    "sql 42501": "not allowed to connect",
    "sql 28P01": "wrong password",
    "sql 28000": "not allowed to log in",
    "http 401": "401",
    "http 403": "403",
    "http 404": "404",
}


class Verdict(StrEnum):
    """What became of an attempt: ``refused`` is well."""

    REFUSED = "refused"
    REACHED = "reached"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something to try. ``whose`` is a deployment, or ``PLATFORM``.

    ``address`` is what there is to know of where: a database, a URL, the word of a driver, a salted
    digest. ``quiet``: what is there may not be woken, so it is only looked at.
    """

    aim: Aim
    whose: str
    address: str = ""
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Attempts of one kind that ended alike, at ``whose``: ids of deployments, or ``PLATFORM``."""

    aim: Aim
    verdict: Verdict
    answer: str
    whose: tuple[str, ...]

    @property
    def wall(self) -> Wall:
        """The wall that was tried."""
        return WALL_OF[self.aim]


class Progress(StrEnum):
    """Whether a verification is still to be made."""

    ASKED = "asked"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Verification:
    """The last verification of a deployment, whose id it has; ``asked_by`` wants another one.

    ``unproved`` says why it proves nothing, and is empty when it does. ``release`` is the version
    of the platform that made it.
    """

    id: str
    organization: str
    state: Progress
    asked_at: datetime | None = None
    asked_by: str = ""
    at: datetime | None = None
    release: str = ""
    unproved: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def breaches(self) -> tuple[Finding, ...]:
        """What was reached."""
        return tuple(each for each in self.findings if each.verdict is Verdict.REACHED)


@dataclass(frozen=True, slots=True)
class Release:
    """The version of the platform that ran last, since when; ``None``: there was none before.

    There is one of them; its id is ``PLATFORM``.
    """

    id: str
    version: str
    upgraded_at: datetime | None = None


def judged(attempts: Sequence[Attempt], answers: Sequence[str]) -> tuple[str, tuple[Finding, ...]]:
    """Return why nothing is proved (or nothing), and what was found, alike with alike.

    There is an answer for each attempt.
    """
    unproved = ""
    found: dict[tuple[Aim, Verdict, str], list[str]] = {}
    for attempt, answer in zip(attempts, answers, strict=True):
        verdict, words = judge(answer)
        if attempt.aim not in CONTROLS:
            found.setdefault((attempt.aim, verdict, words), []).append(attempt.whose)
        elif verdict is not Verdict.REACHED and not answer.startswith(SKIPPED):
            unproved = unproved or f"it could not {attempt.aim}: {words}"
    return unproved, tuple(
        Finding(aim, verdict, words, tuple(whose)) for (aim, verdict, words), whose in found.items()
    )


def judge(answer: str) -> tuple[Verdict, str]:
    """Return what an answer means, and how to say it."""
    word, _, more = shown(answer).partition(": ")
    if word == REACHED:
        return Verdict.REACHED, more or word
    if word == SKIPPED:
        return Verdict.NOT_TRIED, more or word
    if word in _REFUSALS:
        return Verdict.REFUSED, _REFUSALS[word]
    kind, _, status = word.partition(" ")
    if kind == "http" and status.isascii() and status.isdecimal() and int(status) < 500:
        return Verdict.REACHED, f"answered {status}"
    return Verdict.NOT_TRIED, word or "no answer of the probe"


def count(findings: Iterable[Finding], verdict: Verdict) -> int:
    """Return how many attempts ended so."""
    return sum(len(each.whose) for each in findings if each.verdict is verdict)


def verifiable(deployment: Deployment) -> bool:
    """Whether something of a deployment is live, so that there is an inside."""
    return deployment.status.live is not None and not deployment.spec.removed


def due_at(id_: str, last: datetime, upgraded_at: datetime | None) -> datetime:
    """Return when a deployment is to be verified by itself that was last verified then (or made).

    Each night, at a time of its own; and soon after another version of the platform has started.
    """
    share = int.from_bytes(hashlib.sha256(id_.encode()).digest()[:4]) / 2**32
    at = datetime(last.year, last.month, last.day, tzinfo=UTC) + _NIGHT + share * _LASTS
    if at <= last:
        at += timedelta(days=1)
    if upgraded_at is not None and last < upgraded_at:
        at = min(at, upgraded_at + _CALM + share * _SPREAD)
    return at
