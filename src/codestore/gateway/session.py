"""One Envoy on one xDS stream: what it holds, and the order in which it is told the next thing.

A session works in rounds. A round brings Envoy from whatever it holds to one snapshot, in an order
that never leaves a route without its cluster: clusters with their endpoints, scopes, then the
clusters that are gone. What changes during a round is the business of the next one, all at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse
from envoy.service.discovery.v3.discovery_pb2 import Resource as Packed
from google.protobuf.any_pb2 import Any as AnyMessage

from codestore.gateway.snapshot import Kind, Resource, Snapshot, delta

BATCH = 500
"""Resources in one message: Envoy's main thread has other work too."""

_KINDS = {kind.value: kind for kind in Kind}
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Subscription:
    """What Envoy said of one kind: the names it asks for, and the versions it holds."""

    open: bool = False
    answered: bool = False
    names: set[str] = field(default_factory=set)
    held: dict[str, str] = field(default_factory=dict)

    def hear(self, request: Any) -> None:
        """Take in what a request asks for, or asks for no more."""
        if self.open:
            # To ask for a name again is to say: whatever you think I hold, send it.
            for name in request.resource_names_subscribe:
                self.held.pop(name, None)
        else:
            self.open = True
            self.held.update(request.initial_resource_versions)
        self.names.update(request.resource_names_subscribe)
        for name in request.resource_names_unsubscribe:
            self.names.discard(name)
            self.held.pop(name, None)


class Session:
    """Brings one Envoy to the snapshot last shown.

    ``write`` sends one response; ``done`` is called after every round. ``reached`` is the number of
    the last snapshot that Envoy has answered in full, and ``refused`` what it would not take of it:
    (kind, name) → (version, Envoy's message).
    """

    def __init__(self, write: Callable[[Any], Awaitable[None]], done: Callable[[], None]) -> None:
        self.reached = -1
        self.refused: dict[tuple[Kind, str], tuple[str, str]] = {}
        self._write = write
        self._writing = asyncio.Lock()
        self._done = done
        self._wanted: Snapshot | None = None
        self._work = asyncio.Event()
        self._news = asyncio.Event()
        self._subscriptions = {kind: _Subscription() for kind in Kind}
        self._questions: dict[str, asyncio.Future[str | None]] = {}
        self._asked = 0

    def show(self, snapshot: Snapshot) -> None:
        """Want this snapshot from now on."""
        self._wanted = snapshot
        self._work.set()

    def hear(self, request: Any) -> None:
        """Take in one request of Envoy: a subscription, an answer, or both."""
        kind = _KINDS.get(request.type_url)
        if kind is None:
            return
        self._subscriptions[kind].hear(request)
        question = self._questions.pop(request.response_nonce, None)
        if question is not None:
            refused = request.HasField("error_detail")
            question.set_result(request.error_detail.message if refused else None)
        elif request.resource_names_subscribe:
            self._work.set()
        self._news.set()

    async def run(self) -> None:
        """Work in rounds until cancelled. Until a snapshot is shown, Envoy keeps what it holds."""
        while True:
            await self._work.wait()
            self._work.clear()
            snapshot = self._wanted
            if snapshot is not None:
                await self._bring_to(snapshot)
                self.reached = snapshot.number
                self._done()

    async def _bring_to(self, snapshot: Snapshot) -> None:
        self.refused = {
            (kind, name): (version, message)
            for (kind, name), (version, message) in self.refused.items()
            if snapshot.wants(kind, name, version)
        }
        clusters, scopes = snapshot.by_kind[Kind.CLUSTER], snapshot.by_kind[Kind.SCOPE]
        await self._end_warming(snapshot)
        held = await self._held(Kind.CLUSTER)
        gone = delta(clusters, held).removed
        # Together, because Envoy accepts a cluster only when it has its endpoints too.
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send(Kind.CLUSTER, self._lacking(Kind.CLUSTER, clusters)))
            group.create_task(self._send_endpoints(snapshot.by_kind[Kind.ENDPOINTS]))
        held = await self._held(Kind.SCOPE)
        unwanted = delta(scopes, held).removed
        await self._send(Kind.SCOPE, self._lacking(Kind.SCOPE, scopes), unwanted)
        await self._send(Kind.CLUSTER, (), gone)

    async def _end_warming(self, snapshot: Snapshot) -> None:
        """Answer whoever asks for endpoints, for as long as Envoy keeps silent about clusters.

        It does so while a cluster waits for its endpoints, on a new stream, too (it pauses them in
        ``ClusterManagerImpl::updateClusterCounts``): our predecessor died before they were sent.
        They may not be wanted any more by now, and what Envoy says it holds tells nothing.
        """
        told: set[str] = set()
        clusters, endpoints = self._subscriptions[Kind.CLUSTER], self._subscriptions[Kind.ENDPOINTS]
        while not clusters.open:
            if asked := endpoints.names - told:
                told |= asked
                await self._offer(Kind.ENDPOINTS, [snapshot.endpoints(name) for name in asked])
            else:
                await self._something_new()

    async def _send_endpoints(self, wanted: Mapping[str, Resource]) -> None:
        """Send endpoints as Envoy asks for them, until every cluster that it took has its own."""
        asked = self._subscriptions[Kind.ENDPOINTS].names
        while lacking := [
            resource
            for resource in self._lacking(Kind.ENDPOINTS, wanted)
            if (Kind.CLUSTER, resource.name) not in self.refused
        ]:
            due = [resource for resource in lacking if resource.name in asked]
            if due:
                await self._send(Kind.ENDPOINTS, due)
            else:
                await self._something_new()

    def _lacking(self, kind: Kind, wanted: Mapping[str, Resource]) -> list[Resource]:
        """List what Envoy lacks and has not refused already."""
        return [
            resource
            for resource in delta(wanted, self._subscriptions[kind].held).upserts
            if (kind, resource.name) not in self.refused
        ]

    async def _send(
        self, kind: Kind, upserts: Sequence[Resource], removed: Sequence[str] = ()
    ) -> None:
        subscription = self._subscriptions[kind]
        for start in range(0, len(upserts), BATCH):
            await self._offer(kind, upserts[start : start + BATCH])
        # Envoy waits for a first word on every kind, even if there is nothing to say.
        if removed or not subscription.answered:
            await self._ask(kind, (), removed)
        for name in removed:
            subscription.held.pop(name, None)

    async def _offer(self, kind: Kind, upserts: Sequence[Resource]) -> None:
        """Offer resources; halve what is refused until the one that is wrong stands alone."""
        if kind is Kind.CLUSTER:
            # A changed cluster waits for endpoints again, and does not ask for them again.
            for resource in upserts:
                self._subscriptions[Kind.ENDPOINTS].held.pop(resource.name, None)
        refusal = await self._ask(kind, upserts)
        if refusal is None:
            for resource in upserts:
                self._subscriptions[kind].held[resource.name] = resource.version
        elif len(upserts) > 1:
            middle = len(upserts) // 2
            await self._offer(kind, upserts[:middle])
            await self._offer(kind, upserts[middle:])
        else:
            self.refused[kind, upserts[0].name] = (upserts[0].version, refusal)
            # Not the message itself: Envoy quotes the resource in it, with its keys.
            _log.error("gateway.refused", kind=kind.name, name=upserts[0].name)
            self._news.set()

    async def _ask(
        self, kind: Kind, upserts: Iterable[Resource], removed: Iterable[str] = ()
    ) -> str | None:
        """Send one response and wait for Envoy's word on it: ``None``, or why it is refused."""
        self._asked += 1
        nonce = str(self._asked)
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._questions[nonce] = answer
        self._subscriptions[kind].answered = True
        packed = [
            Packed(name=r.name, version=r.version, resource=AnyMessage(type_url=kind, value=r.body))
            for r in upserts
        ]
        response = DeltaDiscoveryResponse(
            type_url=kind, nonce=nonce, resources=packed, removed_resources=removed
        )
        async with self._writing:
            await self._write(response)
        return await answer

    async def _held(self, kind: Kind) -> Mapping[str, str]:
        """Wait until Envoy has subscribed to a kind; return the versions that it holds."""
        while not self._subscriptions[kind].open:
            await self._something_new()
        return self._subscriptions[kind].held

    async def _something_new(self) -> None:
        self._news.clear()
        await self._news.wait()
