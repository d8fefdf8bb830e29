"""What deployments cost that sleep without a process, and what they slow down.

    python -m bench.standby [--counts 10 100 1000 2000] [--silence 60] [--rounds 5]

One service is created by ``cs``; the others are copies of its rows (service, environment, version,
deployment, key) under ids of their own, written through the platform's own store while it runs:
each is one deployment of a private environment with a key, asleep, with no process. Then the
platform is restarted, and measured when it has come to rest.

Memory is the proportional share (PSS) of each process of what is not mapped from files: those are
shared with every other platform on the machine. Its slope is taken from 100 deployments on. The
start is ``cs up --detach`` against that of the smallest count; the sockets' part of it is from the
first to the last one made in their folder, by the time each was made.

A new route is part of a whole ``POST /api/services``: from the beginning of its step ``publish`` to
the first 200 through the port, asked every millisecond. A wake is that of a real, small service
(Python, with a parent that has its libraries loaded) from stopped.
"""

import argparse
import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import psutil

from bench.common import Line, arguments, client_of, running
from bench.life import archive, conclude, moment, settle
from bench.sleepers import (
    APP,
    ASGI,
    Hush,
    News,
    Request,
    Strangers,
    Visitor,
    memory,
    processes_below,
    small,
    spent,
)
from bench.taken import PROCESSES, Taken, tell_all
from codestore.cli.client import path
from codestore.domain.deployments import Deployment
from codestore.domain.environments import Environment
from codestore.domain.ids import make_hash, make_id
from codestore.domain.keys import Key
from codestore.domain.marking import mark_standby
from codestore.domain.services import Service
from codestore.domain.standby import Depth, Standby
from codestore.domain.versions import Version
from codestore.settings import read_settings
from codestore.store.postgres import PostgresStore
from codestore.vault import FileVault
from codestore.wiring.preparing import embedded_server
from codestore.wiring.servers import STATE_DATABASE
from tests.support.platform import Platform

COUNTS, SILENCE, ROUNDS = (10, 100, 1000, 2000), 60.0, 5
PER_TRANSACTION = 50  # deployments
GLANCE = 0.001  # seconds between two looks whether a URL answers
REST, RESTS = 1.0, 3  # the platform rests when so many looks of so many seconds in a row say so
RESTING = 0.03  # seconds of processor in a look
PATIENCE = 300.0
SLEEPS = {"private": ("1s", "1s"), "demo": ("1s", "1s")}


@dataclass(frozen=True, slots=True)
class Pattern:
    """The rows of one deployment."""

    service: Service
    environment: Environment
    version: Version
    deployment: Deployment
    key: Key

    def copy(self, now: datetime) -> Iterator[Any]:
        """Yield the rows of another one that sleeps without a process."""
        dice = secrets.token_hex(32)
        name = f"sleeps-{dice[:16]}"
        service = replace(self.service, id=make_id("svc", dice), name=name)
        environment = replace(self.environment, id=make_id("env", dice), service=service.id)
        yield service
        yield environment
        yield replace(self.version, id=make_id("ver", dice), service=service.id)
        yield replace(self.key, id=make_id("key", dice), scope=service.id)
        own = replace(
            self.deployment,
            id=make_id("dep", dice),
            hash=make_hash(dice[32:]),
            service=service.id,
            environment=environment.id,
            database=f"{self.deployment.database}{dice[:8]}",
        )
        yield mark_standby(own, Standby(Depth.STOPPED, now, now), now)


async def add(platform: Platform, like: str, count: int) -> None:
    """Write so many deployments more, like that one."""
    settings = read_settings(platform.data)
    server = embedded_server(settings, FileVault.open_file(settings.master_key))
    store = await PostgresStore.open(server.url(STATE_DATABASE))
    try:
        pattern = await read(store, like)
        for done in range(0, count, PER_TRANSACTION):
            now = datetime.now(UTC)
            async with store.begin() as records:
                for _ in range(min(PER_TRANSACTION, count - done)):
                    await records.put(*pattern.copy(now))
    finally:
        await store.close()


async def read(store: PostgresStore, id_: str) -> Pattern:
    async with store.begin() as records:
        (deployment,) = await records.find(Deployment, id=id_)
        (service,) = await records.find(Service, id=deployment.service)
        (environment,) = await records.find(Environment, id=deployment.environment)
        (version,) = await records.find(Version, service=service.id)
        (key,) = await records.find(Key, scope=service.id)
    assert deployment.status.standby is not None, "it is to sleep"
    return Pattern(service, environment, version, deployment, key)


def processes(platform: Platform) -> dict[str, psutil.Process]:
    """Return the platform's own processes by name; several of PostgreSQL's under one."""
    told = platform.status()["processes"]
    return {name: psutil.Process(told[name]) for name in PROCESSES}


def own(running_now: dict[str, psutil.Process]) -> dict[str, list[psutil.Process]]:
    """Return the same with everything below PostgreSQL."""
    found = {name: [process] for name, process in running_now.items()}
    found["postgres"] += running_now["postgres"].children(recursive=True)
    return found


def come_to_rest(platform: Platform) -> float:
    """Wait until the platform does nothing; return the seconds until it began to."""
    began, quiet = time.monotonic(), 0
    watched = list(processes(platform).values())
    before = sum(map(spent, watched))
    while quiet < RESTS:
        time.sleep(REST)
        now = sum(map(spent, watched))
        quiet = quiet + 1 if now - before < RESTING else 0
        before = now
        assert time.monotonic() - began < PATIENCE, "it does not come to rest"
    return max(0.0, time.monotonic() - began - (RESTS + 1) * REST)


def busy(running_now: dict[str, psutil.Process]) -> dict[str, float]:
    """Return the seconds of processor by process, those of children that have ended included."""
    found = {}
    for name, process in running_now.items():
        times = process.cpu_times()
        below = sum(map(spent, process.children(recursive=True))) if name == "postgres" else 0.0
        ended = times.children_user + times.children_system
        found[name] = times.user + times.system + ended + below
    return found


def start(platform: Platform, taken: Taken) -> None:
    """Stop it and start it again; say how long that takes, and what is there then."""
    platform.cs("down")
    began = time.monotonic()
    platform.up()
    taken.up = time.monotonic() - began
    made = [each.stat().st_ctime for each in sockets(platform)]
    taken.held, taken.sockets = len(made), max(made) - min(made)
    taken.routed, taken.places = routed(platform)
    taken.rest = come_to_rest(platform)
    assert len(sockets(platform)) == taken.held, "sockets were made later"


def sockets(platform: Platform) -> list[Any]:
    """Return the shared sockets of the deployments, at which callers wait."""
    folder = read_settings(platform.data).run / "s"
    return [
        each for each in folder.iterdir() if each.name.startswith("dep-") and "." not in each.name
    ]


def routed(platform: Platform) -> tuple[int, int]:
    """Return how many private deployments the gateway asks a key for, and how many there are."""
    deployments = places(platform)
    client = client_of(platform)
    with closing(Line(client.url)) as line:
        paths = [place["url"].removeprefix(client.url) + "/" for place in deployments]
        return sum(line.ask(each)[0] == 401 for each in paths), len(paths)


def places(platform: Platform) -> list[Any]:
    """Return the private deployments of all services."""
    client = client_of(platform)
    services = client.items("/api/services")
    return [
        place
        for service in services
        for name, place in (service.get("environments") or {}).items()
        if name == "private"
    ]


def keep_silent(platform: Platform, taken: Taken, seconds: float) -> None:
    running_now = processes(platform)
    for name, held in own(running_now).items():
        shares = [memory(each.pid) for each in held]
        taken.shared[name] = sum(all_ for all_, _ in shares)
        taken.memory[name] = sum(own_ for _, own_ in shares)
    known = {each.pid for held in own(running_now).values() for each in held}
    spare = running_now["keeper"].cmdline()  # a fork of the keeper, for whoever is called next
    taken.others = [
        " ".join(each.cmdline())
        for each in processes_below(running_now["keeper"].pid)
        if each.pid not in known and each.cmdline() != spare
    ]
    before, strangers = busy(running_now), Strangers(platform)
    time.sleep(seconds)
    after = busy(running_now)
    taken.busy = {name: after[name] - before[name] for name in before}
    taken.silence, taken.strangers = seconds, strangers.cores()


def add_routes(platform: Platform, taken: Taken, rounds: int) -> None:
    """Create services, and delete them again."""
    client = client_of(platform)
    for number in range(rounds):
        name = f"new-{number}"
        folder = platform.home / name
        (folder / "app").mkdir(parents=True, exist_ok=True)
        (folder / "app/main.py").write_text(APP)
        text = f"service: {name}\ndatabase: false\n{ASGI}"
        (folder / "codestore.yaml").write_text(text)
        ready = archive(folder)
        began = time.time()
        change = client.upload(path("services"), {"name": name, "notes": None}, ready)
        place = change["document"]["environments"]["private"]
        answered = first_answer(place)
        taken.creates.append(answered - began)
        conclude(client, change)
        events = client.get("/api/events", {"service": name, "environment": "private"})["items"]
        route = next(x for x in events if x["kind"] == "step_done" and x["step"] == "publish")
        taken.routes.append(answered - (moment(route) - route["duration"]))
        conclude(client, client.delete(path("services", name)))
        settle(client)


def first_answer(place: Any) -> float:
    until = time.time() + PATIENCE
    with closing(Line(place["url"], place["key"])) as line:
        while line.ask("/")[0] != 200:
            assert time.time() < until, f"{place['url']} does not answer"
            time.sleep(GLANCE)
    return time.time()


def wake(platform: Platform, taken: Taken, place: Any, rounds: int) -> None:
    """Wake the real service from stopped; the first time, after a restart, there is no parent."""
    news = News(platform)
    news.start()
    hush, request = Hush(platform, news), Request.to(place, "/")
    for number in range(rounds + 1):
        news.asleep([request.id], "stopped")
        hush.wait()
        with closing(Visitor(request)) as visitor:
            answer = visitor.ask(request)
            assert answer.wake is not None, "it was awake"
            if number:
                taken.wakes.append(answer.seconds)
            news.awake(request.id)
    news.asleep([request.id], "stopped")
    news.stop()


def measure(platform: Platform, place: Any, there: int, count: int, asked: Any) -> Taken:
    taken = Taken(count)
    began = time.monotonic()
    asyncio.run(add(platform, place["id"], count - there))
    come_to_rest(platform)
    print(f"{count}: written and at rest in {time.monotonic() - began:.0f} s", flush=True)
    start(platform, taken)
    keep_silent(platform, taken, asked.silence)
    print(f"{count}: {asked.silence:g} s of silence are over", flush=True)
    wake(platform, taken, place, asked.rounds)
    come_to_rest(platform)
    add_routes(platform, taken, asked.rounds)
    come_to_rest(platform)
    return taken


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, metavar="N")
    parser.add_argument("--silence", type=float, default=SILENCE, metavar="SECONDS")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="wakes, routes")


def main() -> None:
    asked = arguments(__doc__, options)
    found, there = [], 2
    with running() as platform:
        place = small(platform, "real", SLEEPS)["environments"]["private"]
        news = News(platform)
        news.start()
        news.asleep([place["id"]], "stopped")
        news.stop()
        for count in sorted(asked.counts):
            found.append(measure(platform, place, there, count, asked))
            there = count
    tell_all(found)


if __name__ == "__main__":
    main()
