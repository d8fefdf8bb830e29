"""A whole world in memory, to run the real cycle on."""

import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from codestore.domain.canary import Trial
from codestore.domain.environments import DatabaseLimits
from codestore.domain.faults import failed, unavailable
from codestore.domain.instances import Artifact
from codestore.domain.manifest import Manifest
from codestore.domain.routing import Route
from codestore.domain.secret import Secret
from codestore.domain.secrets import DataKey
from codestore.domain.versions import Migration, Seal
from codestore.drivers.fake import FakeDriver
from codestore.ports import Calls, Counters, Reading, Store
from codestore.reconcile.doors import Doors

GRACE = timedelta(hours=1)  # for which a bundle stays although nobody names it yet


class CrashError(BaseException):
    """The process dies here. Not an Exception: nothing may catch it and go on."""


def _nothing() -> None:
    """The world goes on."""


@dataclass
class ManualClock:
    """A clock that moves when told to, and by ``tick`` whenever it is read; its dice count."""

    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    drawn: int = 0
    tick: timedelta = timedelta()

    def now(self) -> datetime:
        self.at += self.tick
        return self.at

    def token(self) -> str:
        self.drawn += 1
        return f"{self.drawn:012x}" + "0" * 52

    def pass_(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class FakeDatabases:
    """``away``: the server does not answer for the time being.

    ``half`` are those that were begun and not finished: a role without a database.
    """

    held: set[str] = field(default_factory=set)
    half: set[str] = field(default_factory=set)
    away: bool = False
    midway: Callable[[], None] = _nothing
    open: dict[str, set[int]] = field(default_factory=dict)

    async def observe(self, name: str) -> bool:
        self._reach()
        return name in self.held

    async def create(
        self, name: str, password: Secret, login: int = 0, limits: DatabaseLimits | None = None
    ) -> None:
        self._reach()
        if name not in self.held:
            self.half.add(name)
            self.midway()
        self.half.discard(name)
        self.held.add(name)
        self.open.setdefault(name, set()).add(login)

    async def logins(self, name: str) -> frozenset[int]:
        self._reach()
        return frozenset(self.open.get(name, ()))

    async def open_login(
        self, name: str, password: Secret, login: int, limits: DatabaseLimits | None = None
    ) -> None:
        self._reach()
        others = {other for other in self.open.get(name, ()) if other % 2 != login % 2}
        self.open[name] = {*others, login}

    async def close_logins(self, name: str, but: int) -> None:
        self._reach()
        self.open[name] &= {but}

    async def drop(self, name: str) -> None:
        self._reach()
        if name in self.held:
            self.held.discard(name)
            self.half.add(name)
            self.midway()
        self.half.discard(name)
        self.open.pop(name, None)

    def _reach(self) -> None:
        if self.away:
            raise unavailable("away", "The database server is away", "no answer")

    async def names(self) -> list[str]:
        return sorted(self.held | self.half)

    def settings(self, name: str, password: Secret, login: int = 0) -> Mapping[str, Secret]:
        return {"DATABASE_URL": Secret(f"postgresql://{name}/{login}")}


@dataclass
class FakeBuilder:
    """``manifest`` is what every upload turns out to hold; ``unbuildable`` digests fail.

    ``sealed`` are the digests that are kept, ``ready`` those that can be run; what was sealed less
    than ``GRACE`` ago is not collected. Each version has one migration file more than the one
    before, if its manifest has migrations at all.
    """

    manifest: Manifest
    now: Callable[[], datetime]
    unbuildable: set[str] = field(default_factory=set)
    ready: set[str] = field(default_factory=set)
    sealed: set[str] = field(default_factory=set)
    sealed_at: dict[str, datetime] = field(default_factory=dict)
    drawn: int = 0

    @property
    def next_digest(self) -> str:
        return f"digest{self.drawn}"

    async def seal(self, upload: Path, service: str) -> Seal:
        digest = self.next_digest
        self.drawn += 1
        self.sealed.add(digest)
        self.sealed_at[digest] = self.now()
        files = range(self.drawn) if self.manifest.migrate else ()
        migrations = tuple(Migration(f"migrations/{n}.sql", f"sha-{n}") for n in files)
        return Seal(digest, digest, self.manifest, migrations=migrations)

    async def prepare(self, seal: Seal) -> Artifact:
        if seal.digest not in self.sealed:
            raise failed("bundle_damaged", "The bundle is damaged", "it is not there")
        if seal.digest in self.unbuildable:
            raise failed("build_failed", "The build failed", "no such package")
        self.ready.add(seal.digest)
        return Artifact(seal.digest, seal.digest)

    async def prepared(self, seal: Seal) -> Artifact | None:
        return Artifact(seal.digest, seal.digest) if seal.digest in self.ready else None

    async def source(self, seal: Seal) -> AsyncIterator[bytes]:
        yield seal.digest.encode()

    async def collect(self, keep: Iterable[str], ready: Iterable[str]) -> None:
        new = {digest for digest, at in self.sealed_at.items() if self.now() - at < GRACE}
        self.sealed &= {*keep, *new}
        self.ready &= self.sealed & {*ready, *new}


@dataclass
class FakeGateway:
    """``routes`` is what the proxy follows. ``away``: it does not answer for the time being.

    What was ``confirmed`` is remembered by the control process, and lost with it.
    """

    routes: dict[str, Route] = field(default_factory=dict)
    confirmed: dict[str, Route] = field(default_factory=dict)
    away: bool = False

    async def publish(self, route: Route) -> None:
        self.confirmed.pop(route.hash, None)
        self._reach()
        self.routes[route.hash] = self.confirmed[route.hash] = route

    async def withdraw(self, hash_: str) -> None:
        self._reach()
        self.routes.pop(hash_, None)
        self.confirmed.pop(hash_, None)

    def published(self, hash_: str) -> Route | None:
        return self.confirmed.get(hash_)

    def holds(self, hash_: str) -> bool:
        return hash_ in self.routes or hash_ in self.confirmed

    async def restore(self, routes: Sequence[Route]) -> None:
        self.routes = {route.hash: route for route in routes}
        self.confirmed = dict(self.routes)

    def _reach(self) -> None:
        if self.away:
            raise unavailable("gateway_unavailable", "The gateway does not answer", "no answer")

    async def knock(self, hash_: str, key: Secret) -> int:
        self._reach()
        route = self.routes.get(hash_)
        if route is None:
            return 404
        return 200 if key in route.keys else 403

    def url(self, hash_: str) -> str:
        return f"http://fake/{hash_}"


@dataclass
class FakeTraffic:
    """``quiet_since`` is the moment of the last request, for all deployments together.

    ``under_way`` are the requests of each; ``canaries`` is what became of those of a canary, by
    hash and revision, ``canary`` of all others. ``counted`` is what a reading finds, unless the
    proxy is ``away``.
    """

    now: Callable[[], datetime]
    quiet_since: datetime | None = None
    under_way: dict[str, int] = field(default_factory=dict)
    canary: Trial = field(default_factory=Trial)
    canaries: dict[tuple[str, int], Trial] = field(default_factory=dict)
    counted: dict[str, Counters] = field(default_factory=dict)
    away: bool = False

    def idle_since(self, hash_: str, within: float) -> datetime | None:
        self.quiet_since = self.quiet_since or self.now()
        return self.quiet_since

    def touch(self, hash_: str) -> None:
        self.quiet_since = self.now()

    async def active(self, hash_: str) -> Mapping[str, int]:
        return {}

    async def loads(self, hashes: Collection[str]) -> Mapping[str, int]:
        return {hash_: self.under_way[hash_] for hash_ in hashes if hash_ in self.under_way}

    async def split(self, hash_: str, revision: int) -> Trial:
        return self.canaries.get((hash_, revision), self.canary)

    async def calls(self) -> Calls:
        return Calls("fake")

    async def reading(self, hashes: Collection[str]) -> Reading:
        if self.away:
            raise unavailable("gateway_unavailable", "The gateway does not answer", "no answer")
        return Reading(
            "fake", {each: self.counted[each] for each in hashes if each in self.counted}
        )


class FakeVault:
    def seal(self, value: Secret) -> str:
        return value.reveal()

    def open(self, sealed: str) -> Secret:
        return Secret(sealed)

    def derive(self, purpose: str) -> Secret:
        return Secret(f"derived:{purpose}")


@dataclass
class FakeKeyring:
    """Seals by writing down the place and the key; master keys have numbers.

    ``masters`` survive the control process.
    """

    masters: list[str] = field(default_factory=lambda: ["master-1"])
    made: int = 1

    @property
    def newest(self) -> str:
        return self.masters[-1]

    def make(self, id_: str, organization: str, now: datetime) -> DataKey:
        return DataKey(id_, organization, self.newest, id_, now)

    def seal(self, key: DataKey, place: Sequence[str], value: Secret) -> str:
        self._check(key)
        return json.dumps([key.id, list(place), value.reveal()])

    def open(self, key: DataKey, place: Sequence[str], sealed: str) -> Secret:
        self._check(key)
        under, at, value = json.loads(sealed)
        if (under, at) != (key.id, list(place)):
            raise failed("secret_unsealable", "A secret cannot be opened", "it was moved")
        return Secret(value)

    def rewrap(self, key: DataKey) -> DataKey:
        self._check(key)
        return replace(key, master=self.newest)

    def begin(self, used: Collection[str]) -> None:
        if set(used) <= {self.newest}:
            self.made += 1
            self.masters.append(f"master-{self.made}")

    def finish(self, used: Collection[str]) -> None:
        self.masters = [each for each in self.masters if each in {*used, self.newest}]

    def _check(self, key: DataKey) -> None:
        if key.master not in self.masters:
            raise failed("master_key_missing", "A master key is missing", "it was forgotten")


@dataclass
class World:
    """Every door, in memory, with the hooks of a test."""

    doors: Doors
    driver: FakeDriver
    databases: FakeDatabases
    builder: FakeBuilder
    gateway: FakeGateway
    traffic: FakeTraffic
    clock: ManualClock


def make_world(store: Store, manifest: Manifest) -> World:
    clock = ManualClock()
    driver = FakeDriver(clock.now)
    databases, gateway = FakeDatabases(), FakeGateway()
    builder = FakeBuilder(manifest, lambda: clock.at)
    traffic = FakeTraffic(clock.now)
    doors = Doors(
        store=store,
        driver=driver,
        standby=driver,
        tasks=driver,
        intruder=driver,
        logs=driver,
        databases=databases,
        builder=builder,
        gateway=gateway,
        traffic=traffic,
        vault=FakeVault(),
        keyring=FakeKeyring(),
        clock=clock,
    )
    return World(doors, driver, databases, builder, gateway, traffic, clock)
