"""The xDS server: delta discovery over gRPC on a Unix socket, for the one Envoy of this host.

More than one Envoy may be connected for a moment, when one is being replaced; a change has reached
the gateway when every one of them has taken it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import structlog
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse

from codestore.gateway.session import Session
from codestore.gateway.snapshot import Resource, Snapshot

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
# One message of a returning Envoy lists the versions of all it holds.
_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))

_log = structlog.get_logger(__name__)


class DiscoveryServer:
    """Hands the wanted snapshot to every Envoy that asks, and knows how far they are.

    Life: ``start``, ``want`` as often as needed, ``stop``. Stopping takes nothing from Envoy: it
    goes on with what it holds, and asks the next server what has changed since.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._wanted: Snapshot | None = None
        self._sessions: set[Session] = set()
        self._progress = asyncio.Event()
        self._server: Any = None

    async def start(self) -> None:
        """Listen on the socket (mode 0600), in the place of whatever was left there."""
        self._server = grpc.aio.server(options=_OPTIONS)
        handler = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=DeltaDiscoveryRequest.FromString,
            response_serializer=DeltaDiscoveryResponse.SerializeToString,
        )
        handlers = grpc.method_handlers_generic_handler(
            _SERVICE, {"DeltaAggregatedResources": handler}
        )
        self._server.add_generic_rpc_handlers((handlers,))
        self._socket.unlink(missing_ok=True)
        self._server.add_insecure_port(f"unix:{self._socket}")
        await self._server.start()
        self._socket.chmod(0o600)

    async def stop(self) -> None:
        """Close every stream and the socket."""
        if self._server is not None:
            await self._server.stop(None)

    @property
    def connected(self) -> int:
        """How many Envoys are connected."""
        return len(self._sessions)

    def want(self, snapshot: Snapshot) -> None:
        """Make this the snapshot that every Envoy is brought to."""
        self._wanted = snapshot
        for session in self._sessions:
            session.show(snapshot)

    async def settled(self, number: int) -> None:
        """Wait until an Envoy is connected, and each one has answered snapshot ``number``."""
        while not self._sessions or any(s.reached < number for s in self._sessions):
            self._progress.clear()
            await self._progress.wait()

    def refusals(self, resources: Iterable[Resource]) -> list[tuple[Resource, str]]:
        """Tell which of these resources an Envoy has refused as they are, and in what words."""
        return [
            (resource, message)
            for resource in resources
            for session in self._sessions
            for version, message in [session.refused.get((resource.kind, resource.name), ("", ""))]
            if version == resource.version
        ]

    async def _stream(self, requests: AsyncIterator[Any], context: Any) -> None:
        session = Session(context.write, self._progress.set)
        if self._wanted is not None:
            session.show(self._wanted)
        self._sessions.add(session)
        _log.info("gateway.envoy_connected", connected=self.connected)
        try:
            # Should a round fail, the stream ends with it, and Envoy comes back with a new one.
            async with asyncio.TaskGroup() as group:
                rounds = group.create_task(session.run())
                async for request in requests:
                    session.hear(request)
                rounds.cancel()
        finally:
            self._sessions.discard(session)
            self._progress.set()
            _log.info("gateway.envoy_left", connected=self.connected)
