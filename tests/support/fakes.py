"""A whole world in memory, to run the real cycle on; it can crash before or after any effect."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from codestore.domain.faults import failed, unavailable
from codestore.domain.instances import Artifact
from codestore.domain.manifest import Manifest
from codestore.domain.routing import Route
from codestore.domain.secret import Secret
from codestore.domain.versions import Seal
from codestore.drivers.fake import FakeDriver
from codestore.ports import Store
from codestore.reconcile.doors import Doors


class CrashError(BaseException):
    """The process dies here. Not an Exception: nothing may catch it and go on."""


@dataclass
class ManualClock:
    """A clock that moves when told to; its dice are a counter."""

    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def now(self) -> datetime:
        return self.at

    def token(self) -> str:
        return f"{next(self.numbers):012x}" + "0" * 52

    def pass_(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class FakeDatabases:
    """``away``: the server does not answer for the time being."""

    held: set[str] = field(default_factory=set)
    away: bool = False

    async def observe(self, name: str) -> bool:
        return name in self.held

    async def create(self, name: str, password: Secret) -> None:
        self._reach()
        self.held.add(name)

    async def drop(self, name: str) -> None:
        self._reach()
        self.held.discard(name)

    def _reach(self) -> None:
        if self.away:
            raise unavailable("away", "The database server is away", "no answer")

    async def names(self) -> list[str]:
        return sorted(self.held)

    def settings(self, name: str, password: Secret) -> Mapping[str, Secret]:
        return {"DATABASE_URL": Secret(f"postgresql://{name}")}


@dataclass
class FakeBuilder:
    """``manifest`` is what every upload turns out to hold; ``unbuildable`` digests fail."""

    manifest: Manifest
    unbuildable: set[str] = field(default_factory=set)
    ready: set[str] = field(default_factory=set)
    digests: "itertools.count[int]" = field(default_factory=itertools.count)

    async def seal(self, upload: Path, service: str) -> Seal:
        digest = f"digest{next(self.digests)}"
        return Seal(digest, digest, self.manifest)

    async def prepare(self, seal: Seal) -> Artifact:
        if seal.digest in self.unbuildable:
            raise failed("build_failed", "The build failed", "no such package")
        self.ready.add(seal.digest)
        return Artifact(seal.digest, seal.digest)

    async def prepared(self, seal: Seal) -> Artifact | None:
        return Artifact(seal.digest, seal.digest) if seal.digest in self.ready else None

    async def source(self, seal: Seal) -> AsyncIterator[bytes]:
        yield seal.digest.encode()

    async def collect(self, keep: Iterable[str]) -> None:
        self.ready &= set(keep)


@dataclass
class FakeGateway:
    """``quiet_since`` is the moment of the last request, for all deployments together."""

    now: Callable[[], datetime]
    routes: dict[str, Route] = field(default_factory=dict)
    quiet_since: datetime | None = None

    def idle_since(self, hash_: str, within: float) -> datetime | None:
        self.quiet_since = self.quiet_since or self.now()
        return self.quiet_since

    def touch(self, hash_: str) -> None:
        self.quiet_since = self.now()

    async def publish(self, route: Route) -> None:
        self.routes[route.hash] = route

    async def withdraw(self, hash_: str) -> None:
        self.routes.pop(hash_, None)

    def published(self, hash_: str) -> Route | None:
        return self.routes.get(hash_)

    async def active(self, hash_: str) -> Mapping[str, int]:
        return {}

    async def restore(self, routes: Sequence[Route]) -> None:
        self.routes = {route.hash: route for route in routes}

    def url(self, hash_: str) -> str:
        return f"http://fake/{hash_}"


class FakeVault:
    def seal(self, value: Secret) -> str:
        return value.reveal()

    def open(self, sealed: str) -> Secret:
        return Secret(sealed)

    def derive(self, purpose: str) -> Secret:
        return Secret(f"derived:{purpose}")


@dataclass
class Breaker:
    """Counts effects and crashes at the one with number ``at``, before or after it happens.

    With ``meanwhile`` it does not crash: that is done first, and the effect goes on.
    """

    at: int | None = None
    after: bool = False
    count: int = 0
    meanwhile: Callable[[], Awaitable[None]] | None = None

    def guard(self, door: Any, names: Iterable[str]) -> None:
        """Wrap the effects of a door in place."""
        for name in names:
            setattr(door, name, self._wrapped(getattr(door, name)))

    def _wrapped(self, effect: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            mine = self.count == self.at
            if mine and self.meanwhile is not None:
                await self.meanwhile()
                mine = False
            if mine and not self.after:
                raise CrashError
            result = await effect(*args, **kwargs)
            if mine:
                raise CrashError
            return result

        return call


@dataclass
class World:
    """Every door, in memory, with the hooks of a test."""

    doors: Doors
    driver: FakeDriver
    databases: FakeDatabases
    builder: FakeBuilder
    gateway: FakeGateway
    clock: ManualClock
    breaker: Breaker


def make_world(store: Store, manifest: Manifest) -> World:
    clock = ManualClock()
    driver = FakeDriver(clock.now)
    databases, builder, gateway = FakeDatabases(), FakeBuilder(manifest), FakeGateway(clock.now)
    breaker = Breaker()
    breaker.guard(driver, ("start", "prove", "admit", "drain", "stop", "remove", "run"))
    breaker.guard(driver, ("hold", "freeze", "thaw", "stop_frozen", "arm", "disarm", "refuse"))
    breaker.guard(databases, ("create", "drop"))
    breaker.guard(builder, ("prepare",))
    breaker.guard(gateway, ("publish", "withdraw"))
    doors = Doors(
        store, driver, driver, driver, driver, databases, builder, gateway, FakeVault(), clock
    )
    return World(doors, driver, databases, builder, gateway, clock, breaker)
