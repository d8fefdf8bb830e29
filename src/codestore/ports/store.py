"""The platform's own state: transactions over it, and whoever watches it."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from codestore.domain.audit import Entry
from codestore.domain.canary import Tally
from codestore.domain.deployments import Deployment
from codestore.domain.environments import Environment
from codestore.domain.events import Event
from codestore.domain.keys import Client, Key, Usage
from codestore.domain.looks import Look
from codestore.domain.people import Organization, Password, Token
from codestore.domain.promise import Hour
from codestore.domain.secrets import DataKey, SealedSecret, SecretSet
from codestore.domain.services import Project, Service, User
from codestore.domain.verification import Release, Verification
from codestore.domain.versions import Version

Person = User | Organization | Token | Password
Sealed = DataKey | SealedSecret | SecretSet
Opening = Key | Client | Usage
Verified = Verification | Release
Noun = Person | Service | Project | Environment | Version | Deployment | Opening | Sealed | Verified
Gone = Mapping[str, Collection[str]]  # sources of what was counted, by deployment
EVERYTHING = "*"  # what a watch yields in place of an id: anything may have changed
N = TypeVar(
    "N",
    User,
    Organization,
    Token,
    Password,
    Service,
    Project,
    Environment,
    Version,
    Deployment,
    Key,
    Client,
    Usage,
    DataKey,
    SealedSecret,
    SecretSet,
    Verification,
    Release,
)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: at most ``limit`` rows after the row with id ``after``."""

    limit: int = 100
    after: str | None = None

    def following(self, found: Sequence[Noun]) -> str | None:
        """Return the id after which the next page starts; ``None`` when this was the last."""
        return found[-1].id if len(found) == self.limit else None


class Records(Protocol):
    """One transaction over the platform's own state. Lives inside ``Store.begin()``."""

    async def get(self, kind: type[N], id_: str) -> N | None:
        """Return the noun with this id. A deployment is locked until the transaction ends."""

    async def find(self, kind: type[N], page: Page | None = None, /, **equal: str) -> list[N]:
        """Return nouns whose fields equal the values given, oldest first; all without a page."""

    async def put(self, *nouns: Noun) -> None:
        """Insert or replace. Raises a CONFLICT fault when a unique field is taken."""

    async def remove(self, *nouns: Noun) -> None:
        """Delete; what is not there is gone already."""

    async def lock(self, name: str) -> None:
        """Wait until nobody else holds the lock of this name; hold it until the transaction ends.

        Taken before any deployment is, so that two who take both cannot wait for each other.
        """

    async def emit(self, *events: Event) -> None:
        """Append events; whoever watches is told when the transaction commits."""

    async def events(
        self,
        after: int,
        limit: int,
        newest: bool = False,
        during: tuple[datetime, datetime] | None = None,
        among: Collection[str] | None = None,
        **equal: str,
    ) -> list[Event]:
        """Return events in order, those after a sequence number (or the newest ones).

        With ``during`` those from a time on, and before another; with ``among`` those of these
        deployments.
        """

    async def forget(self, before: datetime, limit: int) -> int:
        """Delete at most so many events of before a time; return how many it were.

        A sequence number is never given a second time.
        """

    @property
    def tallies(self) -> "Tallies":
        """What was counted of requests, in the same transaction."""

    @property
    def trail(self) -> "Trail":
        """What people changed, in the same transaction."""


class Tallies(Protocol):
    """Requests and failures by minute, and what was last seen of the counters they come from.

    Lives inside a transaction, as :class:`Records` does. Hours outlive their deployment.
    """

    async def last(self) -> Look | None:
        """Return the last look. Until the transaction ends, nobody else gets it."""

    async def add(self, hours: Sequence[Hour], look: Look, gone: Gone) -> None:
        """Add to what is there of these hours, and remember the look as the last one.

        Totals it does not tell stay as they were, but those of the sources that are ``gone``. When
        the run is another, all go.
        """

    async def hours(self, deployment: str, since: datetime, until: datetime) -> list[Hour]:
        """Return the hours that begin from a time on, and before another, oldest first.

        Those without a request may be left out.
        """

    async def worst(
        self, deployments: Collection[str], since: datetime, until: datetime, limit: int
    ) -> list[Hour]:
        """Return the hours in which a minute had the most failures, the worst first.

        Of equals the newest; none of those without a failure.
        """

    async def sums(
        self, deployments: Collection[str], since: datetime, until: datetime
    ) -> Mapping[str, Tally]:
        """Return the sum of the same hours for each of many; without a request, none."""

    async def prune(self, before: datetime) -> None:
        """Delete the hours that begin before a time."""


class Trail(Protocol):
    """What people changed: entries are appended, and never changed or deleted.

    Lives inside a transaction, as :class:`Records` does.
    """

    async def last(self, organization: str) -> Entry | None:
        """Return the newest entry. Until the transaction ends, nobody else gets it."""

    async def append(self, entry: Entry) -> None:
        """Append an entry after the one that :meth:`last` returned."""

    async def entries(
        self, organization: str, after: int, limit: int, newest: bool = False
    ) -> list[Entry]:
        """Return entries in order, those after a sequence number (or the newest ones)."""


class Store(Protocol):
    """The platform's memory, the only one. Open from start to stop of the control process."""

    def begin(self) -> AbstractAsyncContextManager[Records]:
        """Open a transaction: committed at the end of the block, rolled back by an exception."""

    def watch(self, *, events: bool = True) -> AsyncIterator[str]:
        """Yield the id of each deployment that changed (or has a new event), from now on.

        May yield an id too often, never too seldom: after a lost connection it yields ``*``.
        """

    async def lead(self) -> None:
        """Wait until this process is the only one that acts."""

    async def close(self) -> None:
        """Let go of connections."""
