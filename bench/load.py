"""Constant load on the two services of ``rolling``: every answer is checked, nothing is retried.

Kept connections, each with one kind of traffic: small answers, small bodies that come back, bodies
of 5 MB that are summed up (at once or over a second), answers of 5 MB, streams of two seconds,
GraphQL queries and mutations, a WebSocket that speaks all the time, and events without end. Events
and WebSockets may end only as a drain that took all its time ends them: the events with a last
chunk, the WebSocket with a code that says so. Everything else must come whole, from a version that
was live while it was on its way. A connection that is closed while it is kept is a failure, too.
"""

import asyncio
import hashlib
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from bench.common import table
from bench.rolling import DRAIN, GRAPH, MEGABYTES, REST
from bench.wire import Head, Wire
from tests.support.platform import KEY

TIMEOUT = 60.0  # seconds for anything but events without end
KEPT = 40  # failures that are kept with all that is known of them
LARGE = bytes(range(256)) * 4096 * MEGABYTES
LARGE_SUM = hashlib.sha256(LARGE).hexdigest()
STREAMED = b"".join(b"%d\n" % number for number in range(20)) + b"end\n"
ENDINGS = (1000, 1001, 1012)
EARLY = 0.5  # seconds by which a drain may seem shorter than it is
VERSION = "{ version }"
ADD = "mutation($l: Int!, $r: Int!) { add(left: $l, right: $r) { version sum } }"
WRONG = (OSError, EOFError, ValueError, KeyError, AssertionError, ConnectionClosed)
Place = Mapping[str, str]


@dataclass(slots=True)
class Versions:
    """Which versions of a service were live when: since, and until when."""

    spans: list[tuple[str, float, float]] = field(default_factory=list)

    def comes(self, version: str) -> None:
        """From now on it may answer."""
        self.spans.append((version, time.monotonic(), float("inf")))

    def only(self, version: str) -> None:
        """From now on no other one may answer what is asked."""
        now = time.monotonic()
        self.spans = [
            (name, since, until if name == version else min(until, now))
            for name, since, until in self.spans
        ]

    def between(self, since: float, until: float) -> set[str]:
        """Return those that may answer what was asked then and answered then."""
        return {name for name, came, went in self.spans if came <= until and went >= since}


@dataclass(slots=True)
class Tally:
    """What the load has seen. ``doing`` is what happens to the platform at the moment."""

    requests: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    slowest: dict[str, float] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)
    versions: dict[str, Versions] = field(default_factory=lambda: defaultdict(Versions))
    wires: list[Wire] = field(default_factory=list)
    doing: str = "nothing"
    began: float = field(default_factory=time.monotonic)

    def now(self, doing: str) -> None:
        self.doing, self.began = doing, time.monotonic()

    def fail(self, kind: str, error: BaseException, took: float, about: str = "") -> None:
        """Note a failure with all that may explain it."""
        self.failed[f"{kind}: {type(error).__name__}"] += 1
        doing = f"{self.doing}, since {time.monotonic() - self.began:.3f} s"
        said = f"{datetime.now(UTC):%T.%f} {kind}, after {took:.3f} s: {type(error).__name__}:"
        detail = f"{said} {error} {about}[{doing}]"
        if len(self.details) < KEPT:
            self.details.append(detail)
            print(detail, flush=True)

    @property
    def failures(self) -> int:
        return self.failed.total()


class Load:
    """All the callers. ``run`` calls until it is over."""

    def __init__(self, rest: Place, graph: Place, tally: Tally, seed: int) -> None:
        self._places = {REST: rest, GRAPH: graph}
        self._tally = tally
        self._dice = random.Random(seed)
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Call until ``stop`` is called; everything that was begun is finished."""
        async with asyncio.TaskGroup() as group:
            for name, service, ask, many, pause in self._traffic():
                for _ in range(many):
                    group.create_task(self._calling(name, service, ask, pause))
            for _ in range(3):
                group.create_task(self._talking())
                group.create_task(self._listening())

    def stop(self) -> None:
        self._over.set()

    def _traffic(self) -> list[tuple[str, str, Callable[[Wire], Awaitable[str]], int, float]]:
        """Name, service, what is done, over how many connections, seconds between two."""
        return [
            ("GET", REST, small, 8, 0.12),
            ("POST, small", REST, partial(echo, self._dice), 4, 0.12),
            ("POST, 5 MB", REST, partial(digest, 0.0), 1, 2.0),
            ("POST, 5 MB in 1 s", REST, partial(digest, 1.0), 2, 1.0),
            ("GET, 5 MB", REST, large, 1, 2.0),
            ("stream of 2 s", REST, streamed, 3, 0.1),
            ("GraphQL query", GRAPH, query, 4, 0.12),
            ("GraphQL mutation", GRAPH, partial(mutation, self._dice), 2, 0.15),
        ]

    async def _calling(
        self, name: str, service: str, ask: Callable[[Wire], Awaitable[str]], pause: float
    ) -> None:
        wire = Wire(self._places[service])
        self._tally.wires.append(wire)
        await self._pause(pause)
        while not self._over.is_set():
            began = time.monotonic()
            try:
                async with asyncio.timeout(TIMEOUT):
                    version = await ask(wire)
                self._check(service, version, began)
            except WRONG as error:
                self._tally.fail(name, error, time.monotonic() - began)
                wire.drop()
            self._count(name, began)
            await self._pause(pause)
        wire.drop()

    def _check(self, service: str, version: str, began: float) -> None:
        allowed = self._tally.versions[service].between(began, time.monotonic())
        assert version in allowed, f"answered by {version}, live were {sorted(allowed)}"

    def _count(self, name: str, began: float) -> None:
        self._tally.requests[name] += 1
        took = time.monotonic() - began
        self._tally.slowest[name] = max(took, self._tally.slowest.get(name, 0.0))

    async def _pause(self, seconds: float) -> None:
        """Pause that long on average; at the end not at all."""
        try:
            await asyncio.wait_for(self._over.wait(), seconds * self._dice.uniform(0.5, 1.5))
        except TimeoutError:
            return

    async def _listening(self) -> None:
        """Take events until somebody ends them, over and over."""
        wire, name = Wire(self._places[REST]), "events without end"
        self._tally.wires.append(wire)
        while not self._over.is_set():
            began, seen = time.monotonic(), b""
            try:
                async with asyncio.timeout(TIMEOUT):
                    head = await wire.begin("/events")
                self._check(REST, version_of(head), began)
                async for piece in wire.pieces(head):
                    seen += piece
                    if self._over.is_set():
                        break
                ended_well(name, self._over, began)
                assert seen == counted(seen), f"not in order: {seen[-100:]!r}"
                if not self._over.is_set():
                    self._tally.ended[f"{name}, with a last chunk"] += 1
            except WRONG as error:
                about = f"{seen.count(b'data')} events had come "
                self._tally.fail(name, error, time.monotonic() - began, about)
                wire.drop()
                await self._pause(0.5)
            self._tally.requests[name] += 1
        wire.drop()

    async def _talking(self) -> None:
        """Say something over a WebSocket all the time; when it is closed well, open another one."""
        name = "WebSocket"
        while not self._over.is_set():
            began = time.monotonic()
            try:
                await self._conversation(began)
            except ConnectionClosed as error:
                try:
                    assert error.rcvd is not None and error.rcvd.code in ENDINGS, error
                    ended_well(name, self._over, began)
                    self._tally.ended[f"{name}, code {error.rcvd.code}"] += 1
                except AssertionError as wrong:
                    self._tally.fail(name, wrong, time.monotonic() - began)
            except (*WRONG, InvalidHandshake) as error:
                self._tally.fail(name, error, time.monotonic() - began)
                await self._pause(0.5)
            self._tally.requests[name] += 1

    async def _conversation(self, began: float) -> None:
        place, said = self._places[REST], 0
        url = place["url"].replace("http:", "ws:") + "/ws"
        async with connect(
            url, additional_headers={KEY: place["key"]}, open_timeout=TIMEOUT, ping_interval=None
        ) as socket:
            assert socket.response is not None
            version = socket.response.headers["x-version"]
            self._check(REST, version, began)
            while not self._over.is_set():
                async with asyncio.timeout(TIMEOUT):
                    await socket.send(str(said))
                    heard = await socket.recv()
                assert heard == f"{version} {said}", heard
                self._tally.requests["WebSocket messages"] += 1
                said += 1
                await self._pause(0.1)


def good(head: Head, body: bytes) -> None:
    assert head.status == 200, f"{head.status} {dict(head.headers)} {body[:500]!r}"


def version_of(head: Head) -> str:
    assert head.status == 200, f"{head.status} {dict(head.headers)}"
    return head.headers["x-version"]


def ended_well(name: str, over: asyncio.Event, began: float) -> None:
    took = time.monotonic() - began
    assert over.is_set() or took >= DRAIN - EARLY, f"{name} ended after {took:.1f} s"


def counted(seen: bytes) -> bytes:
    """Return so many events as they should be."""
    return b"".join(b"data: %d\n\n" % number for number in range(seen.count(b"data: ")))


async def small(wire: Wire) -> str:
    head, body = await wire.ask("/")
    good(head, body)
    return str(json.loads(body)["version"])


async def echo(dice: random.Random, wire: Wire) -> str:
    body = dice.randbytes(dice.randint(1, 2000))
    head, heard = await wire.ask("/echo", body)
    good(head, heard)
    assert heard == body, f"{len(heard)} bytes came back of {len(body)}"
    return version_of(head)


async def digest(seconds: float, wire: Wire) -> str:
    head, body = await wire.ask("/digest", LARGE, seconds)
    good(head, body)
    told = json.loads(body)
    assert (told["length"], told["sha256"]) == (len(LARGE), LARGE_SUM), told
    return str(told["version"])


async def large(wire: Wire) -> str:
    head, body = await wire.ask("/large")
    good(head, body)
    assert body == LARGE, f"{len(body)} bytes"
    return version_of(head)


async def streamed(wire: Wire) -> str:
    head, body = await wire.ask("/stream")
    good(head, body)
    assert body == STREAMED, body
    return version_of(head)


async def query(wire: Wire) -> str:
    head, body = await wire.ask("/graphql", json.dumps({"query": VERSION}).encode())
    good(head, body)
    return str(json.loads(body)["data"]["version"])


async def mutation(dice: random.Random, wire: Wire) -> str:
    left, right = dice.randint(0, 1000), dice.randint(0, 1000)
    asked = {"query": ADD, "variables": {"l": left, "r": right}}
    head, body = await wire.ask("/graphql", json.dumps(asked).encode())
    good(head, body)
    told = json.loads(body)["data"]["add"]
    assert told["sum"] == left + right, told
    return str(told["version"])


def tell_load(tally: Tally) -> None:
    rows = [("\nrequests", "n", "slowest, s")]
    for name, count in sorted(tally.requests.items()):
        slowest = f"{tally.slowest[name]:.2f}" if name in tally.slowest else ""
        rows.append((f"  {name}", str(count), slowest))
    rows.append(("  all", str(tally.requests.total()), ""))
    table(rows)
    opened, announced = (
        sum(getattr(wire, each) for wire in tally.wires) for each in ("opened", "announced")
    )
    print(
        f"\n{len(tally.wires)} kept connections; opened: {opened}, closed with notice: {announced}"
    )
    for what, count in sorted(tally.ended.items()):
        print(f"ended well, at the end of a drain: {count} × {what}")
    print(f"failed requests: {tally.failures}")
    for what, count in sorted(tally.failed.items()):
        print(f"  {count} × {what}")
    for detail in tally.details:
        print(detail)
