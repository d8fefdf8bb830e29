"""The doors: everything the platform's reasoning needs from the world, as Protocols.

At most eight methods each, all safe to call again with the same arguments: whoever calls may
have crashed after the call and before noting it. A door raises :class:`Fault` for what people
should read; ``UNAVAILABLE`` faults may pass and are tried again, any other is final.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from codestore.domain.canary import Tally
from codestore.domain.deployments import Deployment
from codestore.domain.environments import Environment
from codestore.domain.events import Event
from codestore.domain.faults import Letter
from codestore.domain.instances import Artifact, LogLine, TaskResult, View, Workload
from codestore.domain.looks import Look
from codestore.domain.manifest import Health
from codestore.domain.promise import Hour
from codestore.domain.routing import Route
from codestore.domain.secret import Secret
from codestore.domain.services import Key, Project, Service, User
from codestore.domain.versions import Seal, Version

Noun = User | Service | Project | Environment | Version | Deployment | Key
EVERYTHING = "*"  # what a watch yields in place of an id: anything may have changed
N = TypeVar("N", User, Service, Project, Environment, Version, Deployment, Key)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: at most ``limit`` rows after the row with id ``after``."""

    limit: int = 100
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Counters:
    """What a proxy has counted for a deployment since it started.

    ``answers`` by class of status (``2xx``); ``failures`` are those that break a promise: 5xx,
    and requests that nobody answered. ``durations`` are cumulative: an upper bound in seconds
    (infinity at the end) and the number of requests that took at most so long; ``total`` is the
    sum of all durations in seconds. ``sources`` are requests and failures by whatever part of the
    proxy counted them. Each rises from zero on in a ``run`` of the proxy, whoever asks; one that is
    gone is told as long as it is known.
    """

    requests: int = 0
    failures: int = 0
    active: int = 0
    answers: Mapping[str, int] = field(default_factory=dict)
    durations: tuple[tuple[float, int], ...] = ()
    total: float = 0.0
    sources: Mapping[str, Tally] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the counters. ``epoch`` names the run of the proxy: with another, all began
    anew.

    Where an epoch ends with this process too, ``run`` names what sources go on in.
    """

    epoch: str
    counters: Mapping[str, Counters] = field(default_factory=dict)
    run: str = ""


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

    async def emit(self, *events: Event) -> None:
        """Append events; whoever watches is told when the transaction commits."""

    async def events(
        self,
        after: int,
        limit: int,
        newest: bool = False,
        during: tuple[datetime, datetime] | None = None,
        **equal: str,
    ) -> list[Event]:
        """Return events in order, those after a sequence number (or the newest ones).

        With ``during`` those from a time on, and before another.
        """

    @property
    def tallies(self) -> "Tallies":
        """What was counted of requests, in the same transaction."""


class Tallies(Protocol):
    """Requests and failures by minute, and what was last seen of the counters they come from.

    Lives inside a transaction, as :class:`Records` does. Hours outlive their deployment.
    """

    async def last(self) -> Look | None:
        """Return the last look. Until the transaction ends, nobody else gets it."""

    async def add(self, hours: Sequence[Hour], look: Look) -> None:
        """Add to what is there of these hours, and remember the look as the last one.

        Totals it does not tell stay as they were, unless the run is another: then they go.
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


class Driver(Protocol):
    """Runs instances of deployments somewhere: on this host, in a cluster, in memory."""

    async def observe(self, deployment: str) -> View:
        """Tell what runs for a deployment, and where requests for it can be handed in."""

    async def start(self, workload: Workload, ordinal: int) -> None:
        """Start instance ``ordinal`` of a revision; it stays private. Running already: nothing."""

    async def prove(self, deployment: str, instance: str, health: Health) -> None:
        """Ask the instance itself whether it works. Raises a FAILED fault when it does not."""

    async def admit(self, deployment: str, instance: str) -> None:
        """Let the instance take requests of users. Returns when it does."""

    async def drain(self, deployment: str, instance: str) -> None:
        """Let it finish what it has, then end. Returns when it accepts nothing new."""

    async def stop(self, deployment: str, instance: str) -> None:
        """End the instance now, and forget it when it has ended."""

    async def remove(self, deployment: str) -> None:
        """Forget the deployment: instances, addresses, logs, whatever there is of it."""

    def changes(self) -> AsyncIterator[str]:
        """Yield the id of each deployment whose view may have changed, from now on."""


class Standby(Protocol):
    """Lets deployments sleep, and has them woken by whoever comes, without anybody's help."""

    async def hold(self, deployment: str, instance: str) -> None:
        """Hold a place where callers of an instance on a port are handed on to it."""

    async def freeze(self, deployment: str, instance: str, queue: int) -> bool:
        """Freeze an instance; tell whether it is. Not while anybody is connected to it.

        The next caller thaws it; ``queue`` of them may wait for that.
        """

    async def thaw(self, deployment: str, instance: str) -> None:
        """Let it go on."""

    async def stop_frozen(self, workload: Workload, instance: str) -> None:
        """End it if it is frozen still; one that was woken meanwhile is left alone.

        What makes the next start quick may be prepared before.
        """

    async def arm(self, workload: Workload, queue: int) -> None:
        """Nothing runs: have the next caller start an instance that takes requests at once."""

    async def disarm(self, deployment: str) -> None:
        """Have callers start nothing any more."""

    async def refuse(self, deployment: str, letter: Letter) -> int:
        """Answer everybody who waits with a 503 that says why; return how many there were."""


class Tasks(Protocol):
    """Runs something of a version to its end, beside its instances: migrations."""

    async def run(self, workload: Workload, name: str, timeout: float) -> TaskResult:
        """Run and wait; at most ``timeout`` seconds, then it is ended and has failed."""


class Logs(Protocol):
    """What deployments printed. Kept for a month, bounded in size."""

    async def tail(self, deployment: str, count: int) -> list[LogLine]:
        """Return the newest lines, oldest first."""

    def follow(self, deployment: str, count: int) -> AsyncIterator[LogLine]:
        """Yield the newest lines, then each new one, until closed."""

    async def note(self, deployment: str, text: str) -> None:
        """Add a line of the platform's own, so that both stories are read in one place."""

    async def prune(self, before: datetime) -> None:
        """Delete what was last written to before a time."""


class Databases(Protocol):
    """A PostgreSQL server: one database and one role, of the same name, per deployment."""

    async def observe(self, name: str) -> bool:
        """Whether the database and its role are there, whole."""

    async def create(self, name: str, password: Secret) -> None:
        """Create both; only this role may connect. Half created: finished."""

    async def drop(self, name: str) -> None:
        """Drop both, whoever is connected; what is not there is gone already."""

    async def names(self) -> list[str]:
        """Return the names of all databases made by :meth:`create`."""

    def settings(self, name: str, password: Secret) -> Mapping[str, Secret]:
        """Return the variables by which a service connects (``DATABASE_URL`` and its parts)."""


class Builder(Protocol):
    """Source → sealed bundle → something a driver can run. Content-addressed, never rebuilt."""

    async def seal(self, upload: Path, service: str) -> Seal:
        """Check an uploaded archive and seal it. Raises a Fault that names the offending file."""

    async def prepare(self, seal: Seal) -> Artifact:
        """Verify the bundle byte for byte and make it runnable. Raises a FAILED fault if not."""

    async def prepared(self, seal: Seal) -> Artifact | None:
        """Return the artifact if it is runnable now, without looking at its bytes."""

    def source(self, seal: Seal) -> AsyncIterator[bytes]:
        """Yield the archive of the source, as ``cs pull`` fetches it."""

    async def collect(self, keep: Iterable[str], ready: Iterable[str]) -> None:
        """Delete every bundle whose digest is not in ``keep``.

        What makes a version runnable is deleted unless its digest is in ``ready`` as well.
        """


class Gateway(Protocol):
    """Routes requests to instances; keys are checked there. Requests never pass through us."""

    async def publish(self, route: Route) -> None:
        """Make the route what requests meet. Returns when the proxy has confirmed it."""

    async def withdraw(self, hash_: str) -> None:
        """Answer 404 there again. Returns when the proxy has confirmed it."""

    def published(self, hash_: str) -> Route | None:
        """Return the route as it was last published, for comparison."""

    async def restore(self, routes: Sequence[Route]) -> None:
        """Take the whole set at the start of the control process."""

    def url(self, hash_: str) -> str:
        """Return the address people use, with no trailing slash."""


class Traffic(Protocol):
    """What the gateway counts: requests under way, how many there were, how they ended."""

    async def active(self, hash_: str) -> Mapping[str, int]:
        """Return how many requests are under way, by endpoint address."""

    async def loads(self, hashes: Collection[str]) -> Mapping[str, int]:
        """Return how many requests are under way, by hash; none is not listed.

        Raises an UNAVAILABLE fault when the proxy does not answer.
        """

    async def split(self, hash_: str, revision: int) -> Tally:
        """Return what became of the requests that the split of a route led to a revision."""

    async def reading(self, hashes: Collection[str]) -> Reading:
        """Read all counters of these deployments. Raises an UNAVAILABLE fault as above."""

    def idle_since(self, hash_: str, within: float) -> datetime | None:
        """Return since when no request was under way; ``None`` while one is, or nobody knows yet.

        Whoever asks has the traffic there followed from now on, so closely that what is told is
        at most ``within`` seconds old. What the proxy answers itself does not count.
        """

    def touch(self, hash_: str) -> None:
        """Take this moment for one at which a request was under way."""


class Vault(Protocol):
    """Seals what must be kept and shown again; derives what need not be kept at all."""

    def seal(self, value: Secret) -> str:
        """Seal under the platform's master key."""

    def open(self, sealed: str) -> Secret:
        """Open what :meth:`seal` made. Raises a FAILED fault when it was tampered with."""

    def derive(self, purpose: str) -> Secret:
        """Return the secret for a purpose: always the same, 256 bit, unguessable."""


class Clock(Protocol):
    """Time and dice."""

    def now(self) -> datetime:
        """Return the time, with its zone (UTC)."""

    def token(self) -> str:
        """Return 64 random hex digits (256 bit)."""
