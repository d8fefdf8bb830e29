"""Requests a second and latency through the platform's port, against straight at the instance.

The FastAPI example in a project's development, where the key is checked. Straight is the shared
Unix socket of the deployment, which every instance of it accepts from. Who goes first alternates.

    python -m bench.straight [--rounds N]

What the gateway adds; what it is worth against another one is ``throughput``. h2load (installed if
it is not there) speaks HTTP/1.1 over both kinds of socket, and takes little of the processor that
it shares with what it measures.
"""

import statistics
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import psutil

from bench.common import Figure, Line, ratios, rounds, running, table, tell
from bench.rival import instances
from bench.sleepers import spent
from bench.tools import LOADER, Target, need, press, run
from tests.support.platform import KEY, Platform

ROUNDS = 5
CONNECTIONS = 32
SECONDS, WARM_UP = 5, 1  # of each load
ONE_BY_ONE = 500  # requests over one connection
CALM, CALM_SECONDS = 50, 4  # requests a second over one connection
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load came to; ``busy`` are microseconds of processor per request."""

    per_second: float
    busy: dict[str, float]


@dataclass(frozen=True, slots=True)
class Bench:
    """The two ways, and the processes whose work is counted."""

    through: Target
    straight: Target
    processes: dict[str, psutil.Process]
    log: Path

    def pairs(self, count: int, measure: Callable[[Target], T]) -> tuple[list[T], list[T]]:
        """Measure both ways as often as asked, by turns."""
        found: dict[str, list[T]] = {self.through.address: [], self.straight.address: []}
        for number in range(count):
            order = (self.through, self.straight)
            for target in order if number % 2 else reversed(order):
                found[target.address].append(measure(target))
        return found[self.through.address], found[self.straight.address]

    def load(self, target: Target, path: str) -> Loaded:
        """Ask as fast as it goes."""
        before = {name: spent(process) for name, process in self.processes.items()}
        amount = (f"-c{CONNECTIONS}", f"-D{SECONDS}", f"--warm-up-time={WARM_UP}")
        per_second = press(target, path, *amount)
        # The tool tells nothing of the warm-up, in which the processes work too.
        requests = per_second * (SECONDS + WARM_UP)
        after = {name: spent(process) for name, process in self.processes.items()}
        busy = {name: (after[name] - before[name]) / requests * 1e6 for name in before}
        return Loaded(per_second, busy)

    def latency(self, target: Target, path: str, amount: Sequence[str]) -> float:
        """Return the median of one connection, in milliseconds."""
        self.log.unlink(missing_ok=True)  # the tool would add to it
        run(target, path, "-c1", *amount, f"--log-file={self.log}")
        took = [int(line.split("\t")[2]) for line in self.log.read_text().splitlines()]
        return statistics.median(took) / 1000


def prepare(platform: Platform) -> Bench:
    platform.cs("service:create", "orders", "--dir", str(platform.copy("orders")))
    platform.cs("project:create", "bench")
    included = platform.cs("project:service:add", "bench", "orders")
    place = included["environments"]["development"]
    with closing(Line(place["url"], place["key"])) as line:
        for number in range(5):
            product = {"product": "a thing", "quantity": number + 1, "price": "9.50"}
            status, body = line.ask("/orders", {"customer": "somebody", "lines": [product]})
            assert status == 201, body
    running_now = platform.status()["processes"]
    instance = instances(platform, place["id"])[0].process
    socket = platform.data / "run" / "s" / place["id"]
    return Bench(
        Target(("-H", f"{KEY}: {place['key']}"), place["url"]),
        Target((f"--base-uri=unix:{socket}",), "http://instance"),
        {"instance": instance, "envoy": psutil.Process(running_now["envoy"])},
        platform.home / "requests.log",
    )


def tell_work(path: str, through: list[Loaded], straight: list[Loaded]) -> None:
    """Print who had how much of the processor: what is at its limit has 1,000,000 / rate."""
    rows: list[tuple[str, ...]] = [(f"\n{path}: medians", "requests/s", "µs instance", "µs envoy")]
    for name, found in (("  through", through), ("  straight", straight)):
        rate = statistics.median(each.per_second for each in found)
        shares = (
            statistics.median(each.busy[who] for each in found) for who in ("instance", "envoy")
        )
        rows.append((name, f"{rate:.0f}", *(f"{share:.0f}" for share in shares)))
    table(rows)


def main() -> None:
    count = rounds(__doc__, ROUNDS)
    need(LOADER)
    figures, work = [], []
    with running() as platform:
        bench = prepare(platform)
        for path, target in (("/health", 0.8), ("/orders", None)):
            through, straight = bench.pairs(count, partial(bench.load, path=path))
            rates = [[each.per_second for each in found] for found in (through, straight)]
            what = f"{path}: requests/s, through / straight"
            figures.append(Figure(what, ratios(*rates), "×", target, at_least=True))
            work.append((path, through, straight))
            print(f"{path}: loaded {count} times each way", flush=True)
        calm = (f"--rps={CALM}", f"-D{CALM_SECONDS}")
        for what, amount in (("one by one", (f"-n{ONE_BY_ONE}",)), (f"{CALM} a second", calm)):
            slow, quick = bench.pairs(count, partial(bench.latency, path="/health", amount=amount))
            added = [a - b for a, b in zip(slow, quick, strict=True)]
            figures.append(Figure(f"/health, {what}: added p50", added, "ms", 1.0))
            figures.append(Figure("  straight: p50", quick, "ms"))
    print()
    tell(figures)
    for each in work:
        tell_work(*each)


if __name__ == "__main__":
    main()
