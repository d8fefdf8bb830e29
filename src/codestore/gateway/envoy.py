"""The gateway door, made of Envoy."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx

from codestore.domain.faults import failed
from codestore.domain.routing import KEY_HEADER, Route
from codestore.domain.secret import Secret
from codestore.gateway.admin import EnvoyAdmin, away
from codestore.gateway.discovery import DiscoveryServer
from codestore.gateway.resources import platform_resources, resources
from codestore.gateway.snapshot import Kind, Resource, Snapshot
from codestore.gateway.traffic import EnvoyTraffic


def _utc_now() -> datetime:
    return datetime.now(UTC)


class EnvoyGateway:
    """Routes, kept in an Envoy that runs elsewhere and comes here to ask.

    Life: ``start``, then ``restore`` with everything that should be served: until then Envoy keeps
    what it holds from before. After that ``publish`` and ``withdraw``, as many at once as there
    are: what changes while Envoy is busy reaches it together. ``stop`` leaves Envoy serving.
    Times are in seconds. ``base`` is the address people use. A route that Envoy could not take
    raises ``ValueError``, and changes nothing. A change that Envoy did not confirm in time raises
    an UNAVAILABLE fault; it stays wanted, and is made when it can. ``traffic`` tells what Envoy
    counts meanwhile.
    """

    def __init__(
        self,
        xds_socket: Path,
        admin_socket: Path,
        base: str,
        timeout: float = 5.0,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._base = base
        self._published: dict[str, Route] = {}
        self._discovery = DiscoveryServer(xds_socket)
        self._admin = EnvoyAdmin(admin_socket, timeout)
        self.traffic = EnvoyTraffic(self._admin, now)
        self._following: asyncio.Task[None] | None = None
        self._timeout = timeout
        self._held: dict[str, tuple[Resource, ...]] = {}
        self._snapshot: Snapshot | None = None
        self._caller: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Open the socket where Envoy asks for its configuration."""
        await self._discovery.start()
        self._following = asyncio.create_task(self.traffic.follow())

    async def stop(self) -> None:
        """Close it. Envoy goes on serving, and asks whoever opens the socket next."""
        if self._following is not None:
            self._following.cancel()
        await self._discovery.stop()
        await self._admin.close()
        if self._caller is not None:
            await self._caller.aclose()

    async def restore(self, routes: Sequence[Route]) -> None:
        """Want exactly these routes. Does not wait: Envoy may not run yet; see ``settled``."""
        self._published = {route.hash: route for route in routes}
        self._held = {route.hash: resources(route) for route in routes}
        every = [each for held in self._held.values() for each in held]
        number = self._snapshot.number + 1 if self._snapshot else 0
        self._want(Snapshot.of(number, [*platform_resources(), *every]))

    async def publish(self, route: Route) -> None:
        """Add or change one route; return when requests follow it.

        Raises a FAILED fault, in Envoy's words, when Envoy will not take it.
        """
        made = resources(route)
        await self._note(route.hash, made)
        self._published.pop(route.hash, None)
        await self._confirmed(self._exchange(route.hash, made))
        for resource, message in self._discovery.refusals(made):
            why = _without_keys(message, route)
            raise failed(
                "route_refused",
                "The gateway refuses the route",
                f"{resource.kind.name.lower()} {resource.name}: {why}",
            )
        self._published[route.hash] = route

    async def withdraw(self, hash_: str) -> None:
        """Remove a route, known or not; requests under way end in peace.

        Returns when new ones are answered 404.
        """
        await self._confirmed(self._exchange(hash_, ()))
        self._published.pop(hash_, None)
        self.traffic.forget(hash_)

    def published(self, hash_: str) -> Route | None:
        """Return the route as Envoy last confirmed it."""
        return self._published.get(hash_)

    def holds(self, hash_: str) -> bool:
        """Tell whether Envoy has a route, may have it still, or will have one when it answers."""
        return hash_ in self._held or hash_ in self._published

    async def knock(self, hash_: str, key: Secret) -> int:
        """Call a route with a key, as anybody would; return the status of the answer.

        Raises an UNAVAILABLE fault when there is none.
        """
        if self._caller is None:
            self._caller = httpx.AsyncClient(timeout=self._timeout, trust_env=False)
        try:
            headers = {KEY_HEADER: key.reveal()}
            return (await self._caller.get(f"{self.url(hash_)}/", headers=headers)).status_code
        except httpx.HTTPError as error:
            raise away(type(error).__name__) from None

    def url(self, hash_: str) -> str:
        """Return the address people use, with no trailing slash."""
        return f"{self._base}/{hash_}"

    async def settled(self) -> None:
        """Wait until Envoy holds all that is wanted."""
        await self._confirmed(self._current().number)

    async def version(self) -> str:
        """Return Envoy's version; raise ``httpx.HTTPError`` if it does not answer."""
        return await self._admin.version()

    async def ready(self) -> bool:
        """Tell whether Envoy runs and serves; raises nothing."""
        return await self._admin.ready()

    async def _note(self, hash_: str, new: tuple[Resource, ...]) -> None:
        """Have counters read before their cluster goes, or another one counts under its name."""
        old, coming = (
            {each for each in held if each.kind is Kind.CLUSTER}
            for held in (self._held.get(hash_, ()), new)
        )
        if old != coming:
            await self.traffic.note(hash_)

    def _exchange(self, hash_: str, new: tuple[Resource, ...]) -> int:
        snapshot = self._current().replacing(self._held.pop(hash_, ()), new)
        if new:
            self._held[hash_] = new
        self._want(snapshot)
        return snapshot.number

    def _want(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._discovery.want(snapshot)

    def _current(self) -> Snapshot:
        if self._snapshot is None:
            raise RuntimeError("restore() comes first: it says what else should be served")
        return self._snapshot

    async def _confirmed(self, number: int) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._discovery.settled(number)
        except TimeoutError:
            connected = self._discovery.connected
            raise away(
                f"No answer to the change in {self._timeout:g} s ({connected} Envoy connected)."
            ) from None


def _without_keys(message: str, route: Route) -> str:
    """Hide the keys of a route in what Envoy says about it (it likes to quote all of it)."""
    for key in route.secrets:
        message = message.replace(key.reveal(), str(key))
    return message
