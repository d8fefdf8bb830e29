"""What counting costs: bytes per deployment for 13 months, and the time of every look and answer.

On a PostgreSQL server of its own, through the store; the gateway's counters are made up.

    python -m bench.promise [--deployments 2000] [--promised 400]
"""

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.common import table
from codestore.actions import queries
from codestore.actions.office import Office
from codestore.actions.sla import budgets, sla
from codestore.api.metrics import exposition
from codestore.domain.deployments import Deployment
from codestore.domain.environments import Kind
from codestore.domain.looks import Look
from codestore.domain.promise import Hour, kept_since, month_of
from codestore.domain.roles import Role
from codestore.domain.services import Project, Service, User
from codestore.ports import Counters, Reading
from codestore.reconcile.counting import count, judge
from codestore.store.postgres import PostgresStore
from tests.store import nouns
from tests.support.fakes import ManualClock, make_world
from tests.support.postgres import RunningServer, make_server, remove_server

HOUR = timedelta(hours=1)
SAMPLE = 20  # deployments whose 13 months are written
ADA = User("usr-ada", "ada", "acme", Role.OWNER)
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, float("inf"))


@dataclass
class Proxy:
    """Counts a little more at each reading."""

    epoch: str = "run"
    readings: int = 0
    failing: set[str] = field(default_factory=set)

    async def reading(self, hashes: Collection[str]) -> Reading:
        self.readings += 1
        good, bad = self.readings * 100, self.readings
        return Reading(
            self.epoch,
            {
                hash_: Counters(
                    requests=good + bad,
                    failures=bad if hash_ in self.failing else 0,
                    answers={"2xx": good, "4xx": 3, "5xx": bad},
                    durations=tuple((bound, good) for bound in BOUNDS),
                    total=good / 100,
                )
                for hash_ in hashes
            },
        )


def size(server: RunningServer, what: str = "pg_total_relation_size") -> int:
    ((found,),) = server.execute(f"SELECT {what}('codestore.hours')", "codestore")
    return int(str(found))


async def thirteen_months(store: PostgresStore, server: RunningServer, most: int) -> list[str]:
    """Write 13 months and the present one with traffic in every minute; return a row of bytes."""
    draw, now = random.Random(most), datetime(2026, 3, 31, 23, tzinfo=UTC)
    ids = [f"dep-{draw.getrandbits(48):012x}" for _ in range(SAMPLE)]
    server.execute("TRUNCATE codestore.hours", "codestore")
    empty, start, hours = size(server), kept_since(now), 0
    while start <= now:
        failing = hours % 20 == 0
        batch = [
            Hour(
                id_,
                start,
                tuple(draw.randrange(1, most) for _ in range(60)),
                tuple(int(failing and draw.random() < 0.1) for _ in range(60)),
            )
            for id_ in ids
        ]
        async with store.begin() as records:
            await records.tallies.add(batch, Look(start, "bench"), {})
        start, hours = start + HOUR, hours + 1
    each = (size(server) - empty) / SAMPLE
    heap = size(server, "pg_relation_size") / SAMPLE
    return [f"{most - 1:,}", f"{hours:,}", f"{each / 1e6:.2f} MB", f"{heap / 1e6:.2f} MB",
            f"{each / hours:.0f}"]  # fmt: skip


async def timed(work: Callable[[], Awaitable[Any]], rounds: int = 7) -> str:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        await work()
        times.append((time.perf_counter() - start) * 1000)
    return f"{statistics.median(times):.0f} ms ({min(times):.0f}–{max(times):.0f})"


async def fill(store: PostgresStore, deployments: int, promised: int) -> list[Deployment]:
    """Put deployments of one organization, and a whole month of the promised ones."""
    now = datetime(2026, 3, 31, 23, tzinfo=UTC)
    held = []
    for number in range(deployments):
        kind = Kind.PRODUCTION if number < promised else Kind.STAGING
        service = Service(f"svc-{number}", f"service-{number}", ADA.id, ADA.organization, now)
        made = nouns.deployment(service=service.id, project=f"prj-{number % 50}")
        held.append(replace(made, kind=kind, created_at=now))
        async with store.begin() as records:
            await records.put(service, held[-1])
    async with store.begin() as records:
        await records.put(
            *(
                Project(f"prj-{n}", f"shop-{n}", "", ADA.id, ADA.organization, now)
                for n in range(50)
            )
        )
    start = month_of(now)
    while start < month_of(now, 1):
        failing = start.hour % 12 == 0
        batch = [
            Hour(each.id, start, (300,) * 60, (int(failing), *[0] * 59)) for each in held[:promised]
        ]
        async with store.begin() as records:
            await records.tallies.add(batch, Look(start, "bench"), {})
        start += HOUR
    return held


async def measure(server: RunningServer, deployments: int, promised: int) -> None:
    store = await PostgresStore.open(server.database("codestore"))
    heads = ["most per minute", "hours", "per deployment", "of it rows", "bytes an hour"]
    table([heads, *[await thirteen_months(store, server, most) for most in (101, 5001, 70001)]])
    server.execute("TRUNCATE codestore.hours", "codestore")
    held = await fill(store, deployments, promised)
    server.execute("ANALYZE", "codestore")
    world = make_world(store, nouns.version().seal.manifest)
    proxy: Any = Proxy()  # nothing but readings is asked of it
    clock = ManualClock(datetime(2026, 3, 31, 23, 30, tzinfo=UTC))
    doors: Any = replace(world.doors, clock=clock, traffic=proxy)
    office = Office(store, doors.builder, doors.vault, clock, doors.logs, doors.keyring)

    async def look() -> None:
        clock.pass_(15)
        await count(doors)

    async def metrics() -> None:
        found = await queries.census(office, ADA)
        reading = await proxy.reading([each.deployment.hash for each in found])
        exposition(found, reading.counters, await budgets(office, found), {})

    print(f"\n{deployments} deployments, {promised} of them with a promise, a month old\n")
    rows = [["a look: all counters new", await timed(look)]]
    rows.append(["a judgement: nothing failed of late", await timed(lambda: judge(doors))])
    proxy.failing = {each.hash for each in held[: promised // 10]}
    await look()
    rows.append(["a judgement: a tenth fails", await timed(lambda: judge(doors))])
    placed = await queries.census(office, ADA)
    rows.append(["the budgets of the month", await timed(lambda: budgets(office, placed))])
    rows.append(["cs sla, of everything", await timed(lambda: sla(office, ADA, None, None))])
    rows.append(["/metrics, without reading Envoy", await timed(metrics)])
    table(rows)
    await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deployments", type=int, default=2000)
    parser.add_argument("--promised", type=int, default=400)
    given = parser.parse_args()
    server = make_server()
    server.start()
    try:
        asyncio.run(measure(server, given.deployments, given.promised))
    finally:
        remove_server(server)


if __name__ == "__main__":
    main()
