"""Requests a second and the slowest of a hundred, against the usual way to serve the same thing.

Here: the FastAPI example in a project's production, two instances, called with the key of its
developer. There: the same files and packages under uvicorn and under gunicorn (two workers each,
uvloop and httptools), behind an nginx that checks the key and rewrites the path. Whichever of the
two is faster counts. Who goes first alternates, and each round is a ratio.

    python -m bench.throughput [--rounds N] [--seconds N] [--only /health|/orders]

/orders is a query of the database and some pydantic, /health is next to nothing: there the ways
themselves are what is compared. First each is asked as fast as it goes (h2load); then at 70 % of
what the slower one has reached, at random moments (see ``steady``), and the 99th percentile counts.
Load, proxy and application share the cores, so what a proxy spends the application does not get.

h2load and nginx are installed (apt-get) if they are not there, gunicorn is fetched by uv.
"""

import argparse
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psutil

from bench.calm import Calm
from bench.common import Figure, Line, arguments, ratios, running, table, tell
from bench.rival import Rivals, instances, refuses
from bench.sleepers import quantile, spent
from bench.steady import steady
from bench.tools import LOADER, Target, need, press
from tests.support.platform import KEY, Platform

ROUNDS, SECONDS, WARM_UP = 7, 5.0, 1
SHARE = 0.7
# Connections of the load that goes as fast as it can. A process of the example keeps five to its
# database; what is called by more at once opens and closes others, and then that is measured.
PATHS = {"/orders": 8, "/health": 32}
OURS, RIVALS = "codestore", ("uvicorn", "gunicorn")
ORDERS = 5


@dataclass(frozen=True, slots=True)
class Way:
    """A way to the application, and the processes that work for a request."""

    name: str
    url: str
    key: str
    application: Sequence[psutil.Process]
    proxy: Sequence[psutil.Process]

    def busy(self) -> tuple[float, float]:
        """Return the seconds of processor that application and proxy have had."""
        return sum(map(spent, self.application)), sum(map(spent, self.proxy))


@dataclass(slots=True)
class Found:
    """What one way came to, round by round; microseconds are of processor, per request."""

    rates: list[float] = field(default_factory=list)
    application: list[float] = field(default_factory=list)
    proxy: list[float] = field(default_factory=list)
    middle: list[float] = field(default_factory=list)
    slowest: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    def add(self, load: "Load") -> None:
        self.rates.append(load.rate)
        self.application.append(load.application)
        self.proxy.append(load.proxy)

    def add_pace(self, pace: "Pace") -> None:
        self.middle.append(pace.middle)
        self.slowest.append(pace.slowest)
        self.late.append(pace.late)


@dataclass(frozen=True, slots=True)
class Load:
    """What one load that goes as fast as it can came to."""

    rate: float
    application: float
    proxy: float


@dataclass(frozen=True, slots=True)
class Pace:
    """What one load at a pace came to; milliseconds."""

    middle: float
    slowest: float
    late: float


def load(way: Way, path: str, seconds: float) -> Load:
    """Ask as fast as it goes."""
    target = Target(("-H", f"{KEY}: {way.key}"), way.url)
    before = way.busy()
    amount = (f"-c{PATHS[path]}", f"-D{seconds:g}", f"--warm-up-time={WARM_UP}")
    rate = press(target, path, *amount)
    # The tool tells nothing of the warm-up, in which the processes work too.
    requests = rate * (seconds + WARM_UP)
    busy = ((now - then) / requests * 1e6 for now, then in zip(way.busy(), before, strict=True))
    return Load(rate, *busy)


def pace(way: Way, path: str, rate: float, seconds: float, seed: int) -> Pace:
    """Ask at a rate, whether it answers or not."""
    steady(way.url, way.key, path, rate, WARM_UP, seed)
    found = steady(way.url, way.key, path, rate, seconds, seed)
    shares = (quantile(found.answers, 0.5), quantile(found.answers, 0.99))
    return Pace(*(each * 1000 for each in (*shares, quantile(found.late, 0.99))))


@dataclass(frozen=True, slots=True)
class Result:
    """What was found for one path; the rival is the faster one of those there are."""

    path: str
    found: Mapping[str, Found]
    rival: str
    pace: float

    @property
    def both(self) -> tuple[Found, Found]:
        return self.found[OURS], self.found[self.rival]


def prepare(platform: Platform, stack: ExitStack) -> list[Way]:
    """Deploy the example, and start the rivals beside it on the databases of other environments."""
    platform.cs("service:create", "orders", "--dir", str(platform.copy("orders")), timeout=300)
    platform.cs("project:create", "bench")
    included = platform.cs("project:service:add", "bench", "orders", timeout=300)
    places = included["environments"]
    for place in places.values():
        fill(place)
    ours = places["production"]
    running_now = {name: instances(platform, place["id"]) for name, place in places.items()}
    assert len(running_now["production"]) == 2
    rivals = Rivals(stack, platform.home / "rivals", ours)
    # One database each: what a role may have of connections is not for all of them together.
    places_of = ("development", "staging")
    databases = {name: running_now[of][0] for name, of in zip(RIVALS, places_of, strict=True)}
    servers, nginx = rivals.start(**databases)
    application = [each.process for each in running_now["production"]]
    envoy = psutil.Process(platform.status()["processes"]["envoy"])
    ways = [Way(OURS, ours["url"], ours["key"], application, [envoy])]
    ways += [Way(each.name, each.url, ours["key"], each.workers, nginx) for each in servers]
    for way in ways:
        refuses(way.url)
        assert len(way.application) == 2, way
    return ways


def fill(place: Mapping[str, Any]) -> None:
    with closing(Line(place["url"], place["key"])) as line:
        for number in range(ORDERS):
            product = {"product": "a thing", "quantity": number + 1, "price": "9.50"}
            status, body = line.ask("/orders", {"customer": "somebody", "lines": [product]})
            assert status == 201, body


def by_turns(ways: Sequence[Way], count: int) -> Iterator[Way]:
    """Give every way its turn in every round; who was first is last the next time."""
    for number in range(count):
        yield from ways if number % 2 else reversed(ways)


def measure(ways: Sequence[Way], path: str, asked: argparse.Namespace, calm: Calm) -> Result:
    found = {way.name: Found() for way in ways}
    for way in by_turns(ways, asked.rounds):
        found[way.name].add(calm.take(partial(load, way, path, asked.seconds)))
    rival = max(RIVALS, key=lambda name: found[name].rate)
    rate = SHARE * min(found[OURS].rate, found[rival].rate)
    print(f"{path}: as fast as it goes {asked.rounds} times each; now {rate:.0f}/s", flush=True)
    two = [way for way in ways if way.name in (OURS, rival)]
    for number, way in enumerate(by_turns(two, asked.rounds)):
        paced = partial(pace, way, path, rate, asked.seconds, number // len(two))
        found[way.name].add_pace(calm.take(paced))
    return Result(path, found, rival, rate)


def figures(result: Result) -> list[Figure]:
    ours, theirs = result.both
    against = f"nginx and {result.rival}"
    shares = ratios(ours.rates, theirs.rates)
    slow = ratios(ours.slowest, theirs.slowest)
    return [
        Figure(f"{result.path}: requests/s ÷ {against}", shares, "×", 1.0, at_least=True),
        Figure(f"{result.path}: p99 at {result.pace:.0f}/s ÷ {against}", slow, "×", 1.1),
        Figure("  p99 here", ours.slowest, "ms"),
        Figure("  p99 there", theirs.slowest, "ms"),
        Figure("  p50 here", ours.middle, "ms"),
        Figure("  p50 there", theirs.middle, "ms"),
        Figure("  p99 of the load's own delay", [*ours.late, *theirs.late], "ms"),
    ]


def tell_work(result: Result) -> None:
    """Print who had how much of the processor."""
    heads = (f"\n{result.path}: medians", "requests/s", "µs application", "µs proxy")
    rows: list[tuple[str, ...]] = [heads]
    for name, found in result.found.items():
        shares = (statistics.median(each) for each in (found.application, found.proxy))
        rows.append((f"  {name}", f"{found.rate:.0f}", *(f"{share:.1f}" for share in shares)))
    table(rows)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=ROUNDS, choices=range(1, 101), metavar="N")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="N", help="of each load")
    parser.add_argument("--only", choices=list(PATHS))


def main() -> None:
    asked = arguments(__doc__, options)
    need(LOADER)
    results = []
    with running() as platform, ExitStack() as stack:
        ways = prepare(platform, stack)
        calm = Calm(platform)
        for path in [asked.only] if asked.only else PATHS:
            results.append(measure(ways, path, asked, calm))
    print()
    tell([figure for result in results for figure in figures(result)])
    for result in results:
        tell_work(result)
    print(f"\ncores that others had meanwhile: {statistics.mean(calm.cores):.2f}, at most")
    print(f"{max(calm.cores):.2f}; measured again because they had too many: {calm.repeated}")


if __name__ == "__main__":
    main()
