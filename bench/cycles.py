"""Falling asleep and waking, thousands of times under load: nothing may fail.

    python -m bench.cycles [--cycles N] [--minutes N] [--services N] [--restarts SECONDS]
                           [--only sockets|ports] [--seed N]

Services on sockets and on ports by turns; both deployments of each are frozen after a second, and
stopped after another one, or at once. Each has a caller of its own that comes 0.9 to 1.6 idle
times after the last answer, so as often as can be just when it falls asleep: with a GET or a POST
whose body is checked by its hash, over the connection that it has or a new one, alone or as twenty.
An answer must be a 200 from the right deployment. A cycle is a wake that the platform has counted
(``wakes`` of each deployment, before and after).

``--restarts`` kills the control process every so many seconds; a wake that nobody could tell it of
is not counted.

Here a failure is one: the exit code is 1.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import psutil

from bench.common import PATIENCE, arguments, client_of, running, table
from bench.sleepers import News, Strangers, memory, quantile, small
from codestore.cli.client import path
from tests.support.platform import KEY, Platform

CYCLES, MINUTES, SERVICES = 5000, 20.0, 16
EARLY, LATE = 0.9, 1.6  # idle times between an answer and the next request
BURST, BURSTS = 20, 0.02  # callers at once, and in which share of the rounds
FRESH, POSTS, LARGE = 0.5, 0.5, 0.02  # shares of the requests
SMALL_BODY, LARGE_BODY = 64 * 1024, 2 * 1024 * 1024
TIMES: Final = (("1s", "2s"), ("1s", "1s"))
SETTLED = 5.0  # seconds after the last deployment was stopped


@dataclass(slots=True)
class Tally:
    """What the callers have seen; seconds of answers that woke somebody, by depth unknown."""

    awake: list[float] = field(default_factory=list)
    waking: list[float] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return len(self.awake) + len(self.waking) + len(self.failures)


@dataclass(frozen=True, slots=True)
class Target:
    """A deployment, and the idle times after which something happens to it."""

    place: Mapping[str, Any]
    service: str
    environment: str
    times: Sequence[float]
    on_port: bool

    @property
    def name(self) -> str:
        kind = "port" if self.on_port else "socket"
        return f"{self.place['name']}/{self.place['environment']} ({self.place['id']}, {kind})"


class Caller:
    """Calls one deployment over and over."""

    def __init__(self, target: Target, tally: Tally, seed: int) -> None:
        self._target = target
        self._tally = tally
        self._dice = random.Random(seed)
        self._kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        parts = urlsplit(target.place["url"])
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path

    async def run(self, over: asyncio.Event) -> None:
        """Call until it is over."""
        while not over.is_set():
            if self._dice.random() < BURSTS:
                self._tally.kinds["in bursts"] += BURST
                await asyncio.gather(*(self._call(keep=False) for _ in range(BURST)))
            else:
                await self._call(keep=self._dice.random() >= FRESH)
            idle = self._dice.choice(self._target.times) * self._dice.uniform(EARLY, LATE)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), idle)
        if self._kept:
            self._kept[1].close()

    async def _call(self, keep: bool) -> None:
        body = self._body()
        kind = f"{'POST' if body else 'GET'}, {'kept' if keep else 'fresh'} connection"
        self._tally.kinds[kind] += 1
        began = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                status, headers, answer = await self._exchange(body, keep)
            seconds = time.perf_counter() - began
            self._check(status, answer, body)
        except (OSError, EOFError, ValueError, KeyError, AssertionError) as error:
            seconds = time.perf_counter() - began
            self._kept = None
            said = f"{datetime.now(UTC):%T.%f} {self._target.name} {kind}, {len(body)} bytes"
            failure = f"{said}, after {seconds:.3f} s: {type(error).__name__}: {error}"
            self._tally.failures.append(failure)
            print(failure, flush=True)
            return
        (self._tally.waking if "server-timing" in headers else self._tally.awake).append(seconds)

    def _body(self) -> bytes:
        if self._dice.random() >= POSTS:
            return b""
        most = LARGE_BODY if self._dice.random() < LARGE else SMALL_BODY
        return self._dice.randbytes(self._dice.randint(1, most))

    async def _exchange(self, body: bytes, keep: bool) -> tuple[int, dict[str, str], bytes]:
        if keep and self._kept:
            reader, writer = self._kept
        else:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        method = "POST" if body else "GET"
        key = self._target.place["key"]
        lines = [f"{method} {self._path}/ HTTP/1.1", "host: bench", f"content-length: {len(body)}"]
        lines += [f"{KEY}: {key}"] if key else []
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}
        if "content-length" in headers:
            answer = await reader.readexactly(int(headers["content-length"]))
        else:
            answer = await chunks(reader)
        if keep:
            self._kept = (reader, writer)
        else:
            writer.close()
        return int(head[0].split()[1]), headers, answer

    def _check(self, status: int, answer: bytes, body: bytes) -> None:
        assert status == 200, f"{status} {answer[:300]!r}"
        told, target = json.loads(answer), self._target
        assert told["sha256"] == hashlib.sha256(body).hexdigest(), "not what was sent"
        from_ = (told["service"], told["environment"])
        assert from_ == (target.service, target.environment), f"from another one: {from_}"


async def chunks(reader: asyncio.StreamReader) -> bytes:
    found = b""
    while size := int(await reader.readline(), 16):
        found += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return found


def prepare(platform: Platform, services: int, only: str | None) -> list[Target]:
    """Create the services: every second one on a port, every two with other times."""
    targets = []
    for number in range(services):
        standby, stop = TIMES[number // 2 % len(TIMES)]
        rests = {"private": (standby, stop), "demo": (standby, stop)}
        on_port = number % 2 == 1 if only is None else only == "ports"
        made = small(platform, f"cycles-{number}", rests, command=on_port)
        times = sorted({float(standby[:-1]), float(stop[:-1])})
        for place in made["environments"].values():
            shown = client_of(platform).get(
                f"/api/environments/{made['name']}/{place['environment']}"
            )
            targets.append(Target(place, made["service"], shown["id"], times, on_port))
    return targets


def counted(platform: Platform, targets: Sequence[Target]) -> Counter[str]:
    """Return how many wakes the platform has counted, by depth."""
    client, found = client_of(platform), Counter[str]()
    for name in {target.place["name"] for target in targets}:
        for place in client.get(path("services", name))["environments"].values():
            for depth, wakes in place["wakes"].items():
                found[depth] += wakes["count"]
    return found


def holdings(platform: Platform) -> dict[str, dict[str, float]]:
    """Return what the platform's processes hold, and how many there are."""
    running_now = platform.status()["processes"]
    found = {
        name: {
            "descriptors": psutil.Process(running_now[name]).num_fds(),
            "KiB": memory(running_now[name])[1],
        }
        for name in ("keeper", "control", "envoy")
    }
    children = psutil.Process(running_now["keeper"]).children()
    names = [" ".join(each.cmdline()) for each in children]
    parents = sum("codestore_sdk.preload" in name for name in names)
    found["children"] = {"parents": parents, "others": len(names) - parents}
    return found


async def press(
    platform: Platform,
    news: News,
    targets: Sequence[Target],
    asked: argparse.Namespace,
    tally: Tally,
) -> int:
    """Call until there were enough cycles, or the time is over; return the number of kills."""
    over, kills = asyncio.Event(), 0
    callers = [Caller(target, tally, asked.seed + n) for n, target in enumerate(targets)]
    began = time.monotonic()
    until, kill_at = began + asked.minutes * 60, began + (asked.restarts or float("inf"))
    told_at, before = began + 10, news.woken
    keeper = platform.status()["processes"]["keeper"]
    async with asyncio.TaskGroup() as group:
        for caller in callers:
            group.create_task(caller.run(over))
        while news.woken - before < asked.cycles and time.monotonic() < until:
            await asyncio.sleep(0.5)
            now = time.monotonic()
            if now >= told_at:
                cycles = news.woken - before
                said = f"{now - began:.0f} s: {tally.requests} requests, {cycles} cycles"
                said += f" ({cycles / (now - began):.1f}/s), {len(tally.failures)} failed"
                print(f"{said}; keeper: {memory(keeper)[1] / 1024:.1f} MiB", flush=True)
                told_at = now + 30
            if now >= kill_at:
                with contextlib.suppress(Exception):
                    status = await asyncio.to_thread(platform.status)
                    os.kill(status["processes"]["control"], signal.SIGKILL)
                    kills += 1
                kill_at = now + asked.restarts
        over.set()
    return kills


def bench(platform: Platform, asked: argparse.Namespace) -> int:
    targets = prepare(platform, asked.services, asked.only)
    ids = [target.place["id"] for target in targets]
    news = News(platform)
    news.start()
    news.asleep(ids, "stopped")
    time.sleep(SETTLED)
    before, held_before = counted(platform, targets), holdings(platform)
    tally, strangers, began = Tally(), Strangers(platform), time.monotonic()
    kills = asyncio.run(press(platform, news, targets, asked, tally))
    seconds, others = time.monotonic() - began, strangers.cores()
    news.asleep(ids, "stopped")
    time.sleep(SETTLED)
    wakes, held = counted(platform, targets) - before, holdings(platform)
    news.stop()
    told = [
        (
            "deployments; seconds; kills of the control process",
            f"{len(ids)}; {seconds:.0f}; {kills}",
        ),
        ("cycles counted: frozen + stopped", f"{wakes['frozen']} + {wakes['stopped']}"),
        ("  a second", f"{wakes.total() / seconds:.1f}"),
        ("requests", str(tally.requests)),
        *((f"  {kind}", str(count)) for kind, count in sorted(tally.kinds.items())),
        ("  answered by who was woken for it", str(len(tally.waking))),
        ("failed requests", str(len(tally.failures))),
        ("failures the platform told of", str(len(news.failures))),
    ]
    print()
    table([(what, value) for what, value in told])
    rows: list[tuple[str, ...]] = [("\nms", "p50", "p90", "p99", "max", "n")]
    for what, values in (("answers awake", tally.awake), ("answers that woke", tally.waking)):
        cells = (f"{quantile(values, share) * 1000:.1f}" for share in (0.5, 0.9, 0.99, 1.0))
        rows.append((f"  {what}", *cells, str(len(values))))
    table(rows)
    rows = [("\nall of them stopped", "before", "after")]
    for name, things in held.items():
        for thing, value in things.items():
            rows.append((f"  {name}: {thing}", f"{held_before[name][thing]:.0f}", f"{value:.0f}"))
    table(rows)
    print(f"cores that others used meanwhile: {others:.2f}")
    for line in (*tally.failures, *news.failures):
        print(line)
    if wakes.total() < asked.cycles:
        print(f"fewer than {asked.cycles} cycles")
    return 0 if wakes.total() >= asked.cycles and not tally.failures else 1


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cycles", type=int, default=CYCLES, metavar="N")
    parser.add_argument("--minutes", type=float, default=MINUTES, metavar="N", help="at most")
    parser.add_argument("--services", type=int, default=SERVICES, metavar="N", help="two each")
    parser.add_argument("--restarts", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--only", choices=("sockets", "ports"))
    parser.add_argument("--seed", type=int, default=1, metavar="N")


def main() -> None:
    asked = arguments(__doc__, options)
    with running() as platform:
        code = bench(platform, asked)
    sys.exit(code)


if __name__ == "__main__":
    main()
