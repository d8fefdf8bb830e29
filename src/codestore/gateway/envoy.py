"""The gateway door, made of Envoy."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from codestore.domain.routing import Route
from codestore.gateway.admin import EnvoyAdmin
from codestore.gateway.discovery import DiscoveryServer
from codestore.gateway.resources import platform_resources, resources
from codestore.gateway.snapshot import Resource, Snapshot


class GatewayTimeout(Exception):
    """Envoy did not confirm a change in time. The change stays wanted, and is made when it can."""


class RouteRefused(Exception):
    """Envoy would not take a route; says which resource and why, in Envoy's words."""


class EnvoyGateway:
    """Routes, kept in an Envoy that runs elsewhere and comes here to ask.

    Life: ``start``, then ``replace`` with everything that should be served: until then Envoy keeps
    what it holds from before. After that ``publish`` and ``withdraw``, as many at once as there
    are: what changes while Envoy is busy reaches it together. ``stop`` leaves Envoy serving.
    Times are in seconds. A route that Envoy could not take raises ``ValueError``, and changes
    nothing.
    """

    def __init__(self, xds_socket: Path, admin_socket: Path, timeout: float = 5.0) -> None:
        self._discovery = DiscoveryServer(xds_socket)
        self._admin = EnvoyAdmin(admin_socket, timeout)
        self._timeout = timeout
        self._held: dict[str, tuple[Resource, ...]] = {}
        self._snapshot: Snapshot | None = None

    async def start(self) -> None:
        """Open the socket where Envoy asks for its configuration."""
        await self._discovery.start()

    async def stop(self) -> None:
        """Close it. Envoy goes on serving, and asks whoever opens the socket next."""
        await self._discovery.stop()
        await self._admin.close()

    async def replace(self, routes: Iterable[Route]) -> None:
        """Want exactly these routes. Does not wait: Envoy may not run yet; see ``settled``."""
        self._held = {route.hash: resources(route) for route in routes}
        every = [each for held in self._held.values() for each in held]
        number = self._snapshot.number + 1 if self._snapshot else 0
        self._want(Snapshot.of(number, [*platform_resources(), *every]))

    async def publish(self, route: Route) -> None:
        """Add or change one route; return when requests follow it.

        Raises ``GatewayTimeout`` if Envoy does not confirm it, ``RouteRefused`` if it will not.
        """
        made = resources(route)
        await self._confirmed(self._exchange(route.hash, made))
        for resource, message in self._discovery.refusals(made):
            why = _without_keys(message, route)
            raise RouteRefused(f"{resource.kind.name.lower()} {resource.name}: {why}")

    async def withdraw(self, hash_: str) -> None:
        """Remove a route, known or not; requests under way end in peace.

        Returns when new ones are answered 404; raises ``GatewayTimeout``.
        """
        await self._confirmed(self._exchange(hash_, ()))

    async def settled(self) -> None:
        """Wait until Envoy holds all that is wanted; raise ``GatewayTimeout``."""
        await self._confirmed(self._current().number)

    async def active_requests(self, hash_: str) -> dict[str, int]:
        """Count the requests under way at each endpoint (by address), draining ones included.

        An endpoint that a route has lost is not counted, even if it still has requests: let it
        drain first. A ``unix:`` endpoint may be replaced together with its count when its route
        changes; ask whoever holds the socket. Raises ``httpx.HTTPError`` if Envoy does not answer.
        """
        return await self._admin.active_requests(hash_)

    async def version(self) -> str:
        """Return Envoy's version; raise ``httpx.HTTPError`` if it does not answer."""
        return await self._admin.version()

    async def ready(self) -> bool:
        """Tell whether Envoy runs and serves; raises nothing."""
        return await self._admin.ready()

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
            raise RuntimeError("replace() comes first: it says what else should be served")
        return self._snapshot

    async def _confirmed(self, number: int) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._discovery.settled(number)
        except TimeoutError:
            connected = self._discovery.connected
            raise GatewayTimeout(
                f"No answer to the change in {self._timeout:g} s ({connected} Envoy connected)"
            ) from None


def _without_keys(message: str, route: Route) -> str:
    """Hide the keys of a route in what Envoy says about it (it likes to quote all of it)."""
    for key in route.keys:
        message = message.replace(key.reveal(), str(key))
    return message
