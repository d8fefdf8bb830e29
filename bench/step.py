"""A step in load on a real platform: when enough instances serve, and who waits meanwhile.

    python -m bench.step [--rounds N] [--seed N]

A service that answers 40 requests at once, half a second each, in a project's production (2 to 8
instances, 40 requests at once aimed at for each). First 40 requests a second come, then ten times
as many, at random moments (a Poisson process, over kept connections); what an answer takes is
counted from the moment at which its request was due. Enough are as many instances as the new load
needs at 70 % of 40, and it is what they all serve that counts. The service of each round is new.

What is simulated by ``autoscaler`` happens here: readings of the gateway, decisions, processes that
start, proofs, and two cores that all of it shares with the load.
"""

import argparse
import asyncio
import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.bare import cold_start, command_of
from bench.common import Figure, Line, arguments, client_of, running, table, tell
from bench.sleepers import quantile
from bench.steady import moments
from bench.wire import Wire
from codestore.cli.client import path
from codestore.plan.autoscaling import Scaling
from tests.support.platform import Platform

ROUNDS, SEED = 10, 1
CALM, STEEP = 40.0, 400.0  # requests a second
CALM_SECONDS, STEEP_SECONDS = 10.0, 30.0
SERVICE = 0.5  # seconds for one request
TIMEOUT = 10.0  # seconds after which a caller would give up
GLANCE = 0.1  # seconds between two looks at the number of instances
SLOWEST = 60.0  # seconds that the last answer may take
CAPACITY = 40
LEAST, MOST = 2, 8  # instances
PROJECT = "step"
APP = f"""
import asyncio

room = asyncio.Semaphore({CAPACITY})


async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] != "/health":
        async with room:
            await asyncio.sleep({SERVICE})
    await send({{"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"2")]}})
    await send({{"type": "http.response.body", "body": b"ok"}})
"""
MANIFEST = """service: {name}
database: false
run: {{asgi: 'app.main:app'}}
health: {{path: /health, timeout: 30s}}
environments: {{production: {{instances: {{min: {least}, max: {most}}}, concurrency: {capacity}}}}}
"""


@dataclass(slots=True)
class Step:
    """What a round has seen; seconds count from the step."""

    answers: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    counts: list[tuple[float, int]] = field(default_factory=list)

    def enough(self, needed: int) -> float:
        """Return after how many seconds so many instances served; infinity if they never did."""
        return next((moment for moment, count in self.counts if count >= needed), math.inf)

    @property
    def late(self) -> int:
        """How many callers would have given up, or were not answered at all."""
        return len(self.failed) + sum(answer > TIMEOUT for answer in self.answers)


class Callers:
    """Ask at given moments, over as many kept connections as it takes."""

    def __init__(self, place: Mapping[str, str], step: Step) -> None:
        self._place, self._step = place, step
        self._free: list[Wire] = []

    async def run(self, due: list[float], began: float) -> None:
        async with asyncio.TaskGroup() as group:
            for moment in due:
                await asyncio.sleep(max(0.0, began + moment - time.perf_counter()))
                group.create_task(self._ask(began + moment))

    async def _ask(self, due: float) -> None:
        wire = self._free.pop() if self._free else Wire(self._place)
        try:
            async with asyncio.timeout(SLOWEST):
                head, body = await wire.ask("/")
        except (OSError, TimeoutError, ValueError) as error:
            wire.drop()
            self._step.failed.append(f"{type(error).__name__}: {error}")
            return
        self._free.append(wire)
        if head.status == 200:
            self._step.answers.append(time.perf_counter() - due)
        else:
            self._step.failed.append(f"{head.status}: {body[:200]!r}")

    def close(self) -> None:
        for wire in self._free:
            wire.drop()


async def press(platform: Platform, name: str, place: Mapping[str, str], seed: int) -> Step:
    """Load calmly, then ten times as much; look at the instances all the time."""
    calm, step = Step(), Step()
    callers = Callers(place, calm)
    await callers.run(list(moments(CALM, CALM_SECONDS, seed)), time.perf_counter())
    callers.close()
    assert not calm.failed, calm.failed
    callers, began = Callers(place, step), time.perf_counter()
    looking = asyncio.create_task(_look(platform, name, step, began))
    await callers.run(list(moments(STEEP, STEEP_SECONDS, seed)), began)
    callers.close()
    looking.cancel()
    return step


async def _look(platform: Platform, name: str, step: Step, began: float) -> None:
    client = client_of(platform)
    where = path("projects", PROJECT, "services", name)
    while True:
        found: Any = await asyncio.to_thread(client.get, where)
        count = found["environments"]["production"]["instances"]
        step.counts.append((time.perf_counter() - began, count))
        await asyncio.sleep(GLANCE)


def serve(platform: Platform, name: str) -> Any:
    """Publish a service and include it; return its place in production."""
    folder = platform.home / name
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "main.py").write_text(APP)
    (folder / "codestore.yaml").write_text(
        MANIFEST.format(name=name, capacity=CAPACITY, least=LEAST, most=MOST)
    )
    platform.cs("service:create", name, "--dir", str(folder))
    return platform.cs("project:service:add", PROJECT, name)["environments"]["production"]


def health(line: Line) -> None:
    status, body = line.ask("/health")
    assert status == 200, body


def main() -> None:
    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
        parser.add_argument("--seed", type=int, default=SEED, metavar="N")

    asked = arguments(__doc__, options)
    needed = Scaling(LEAST, MOST, CAPACITY).instances(STEEP * SERVICE)
    steps, bare = [], []
    with running() as platform:
        platform.cs("project:create", PROJECT)
        for number in range(asked.rounds):
            name = f"step-{number}"
            place = serve(platform, name)
            bare.append(cold_start(command_of(platform, place["id"]), health))
            steps.append(asyncio.run(press(platform, name, place, asked.seed + number)))
            platform.cs("project:service:remove", PROJECT, name, "--yes")
            print(f"round {number + 1} of {asked.rounds}: enough after", end=" ")
            print(f"{steps[-1].enough(needed):.2f} s, {steps[-1].late} too late", flush=True)
    tell_steps(steps, bare, needed)


def tell_steps(steps: list[Step], bare: list[float], needed: int) -> None:
    enough = [step.enough(needed) for step in steps]
    shares = [took / one for took, one in zip(enough, bare, strict=True)]
    print()
    tell(
        [
            Figure(f"step of 10 ×: until {needed} instances serve", enough, "s"),
            Figure("  ÷ bare cold start", shares, "×"),
            Figure("bare cold start", bare, "s"),
            Figure(f"requests over {TIMEOUT:g} s, or failed", [step.late for step in steps], ""),
        ]
    )
    rows: list[tuple[str, ...]] = [("\nanswers after the step, s", "p50", "p90", "p99", "max", "n")]
    for number, step in enumerate(steps, start=1):
        cells = (f"{quantile(step.answers, share):.2f}" for share in (0.5, 0.9, 0.99, 1.0))
        rows.append((f"  round {number}", *cells, str(len(step.answers))))
    table(rows)
    everything = [answer for step in steps for answer in step.answers]
    print(f"median of all: {statistics.median(everything):.2f} s")


if __name__ == "__main__":
    main()
