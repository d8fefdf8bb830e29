"""What the first caller of a sleeping service waits for.

    python -m bench.wake [--wakes N] [--rounds N] [--only frozen|stopped]

From frozen: the answer over a connection to the gateway that is open already, less the median of
what the same services answer awake. All of them sleep side by side and are woken one after another:
each when it and all others are told to be frozen, the platform's own processes do nothing, and the
wake before is recorded; and none while one of those may already fall asleep again.

From stopped: the answer with a query of the database, against a bare cold start: the same prepared
environment's own command in the same folder with the same variables, started by hand, until it has
answered the same query at its own socket (a command: at its port, looked at every millisecond). Who
goes first alternates: all are started by hand and then all are woken, or the other way round.
Before each wake the platform has nothing to do. Examples: blog and orders (Python, with a parent
that has its libraries loaded), inbox (Node, when ``node`` is on the path).
"""

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import psutil

from bench.bare import Command, cold_start, cold_start_on_port, command_of
from bench.common import Figure, Line, arguments, ratios, running, table, tell
from bench.sleepers import (
    Hush,
    News,
    Request,
    Strangers,
    Visitor,
    example,
    quantile,
    small,
)
from tests.support.platform import Platform

WAKES, ROUNDS, SERVICES = 500, 40, 8
BATCH = 0.7  # seconds after the first wake of a batch in which others may follow: before any sleeps
WARM = 3  # answers one by one after each wake
SPACE = 0.02  # seconds between a wake that is recorded and what follows it
SHARES = (0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
BINS = (0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 12, 20, 50)  # ms
POSTS = json.dumps({"query": "{ posts { id title } }"}).encode()
PARENT = "codestore_sdk.preload"


@dataclass(slots=True)
class Frozen:
    """Milliseconds: of the first answers, of one some time after it, and of several at once."""

    first: list[float] = field(default_factory=list)
    paced: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    told: list[float] = field(default_factory=list)


def frozen(platform: Platform, wakes: int) -> tuple[Frozen, float]:
    """Wake frozen services; return what it took, and how many cores strangers had meanwhile."""
    rests = {"private": ("1s", "1h"), "demo": ("1s", "1h")}
    made = [small(platform, f"frozen-{number}", rests) for number in range(SERVICES)]
    places = [place for each in made for place in each["environments"].values()]
    requests = [Request.to(place, "/") for place in places]
    ids = [each.id for each in requests]
    news = News(platform)
    news.start()
    hush, strangers, taken = Hush(platform, news), Strangers(platform), Frozen()
    while len(taken.first) < wakes:
        news.asleep(ids, "frozen")
        hush.wait()
        began = time.monotonic()
        for request in requests[: wakes - len(taken.first)]:
            if time.monotonic() - began > BATCH:
                break
            with closing(Visitor(request)) as visitor:
                answer = visitor.ask(request)
                assert answer.wake is not None, "it was awake"
                taken.first.append(answer.seconds * 1000)
                taken.told.append(answer.wake)
                news.awake(request.id)
                time.sleep(SPACE)
                taken.paced.append(visitor.ask(request).seconds * 1000)
                taken.warm += [visitor.ask(request).seconds * 1000 for _ in range(WARM)]
        requests = requests[1:] + requests[:1]  # so that each of them is once the first
    news.stop()
    assert not news.failures, news.failures
    return taken, strangers.cores()


def tell_frozen(taken: Frozen, strangers: float) -> None:
    warm = statistics.median(taken.warm)
    added = [each - warm for each in taken.first]
    rows = [("\nfrom frozen, ms", *(f"p{share * 100:g}" for share in SHARES[:-1]), "max", "n")]
    for name, values in (
        ("  first answer", taken.first),
        ("  less the median of warm ones", added),
        ("  told in Server-Timing", taken.told),
        ("  warm, 20 ms after the last", taken.paced),
        ("  warm, one by one", taken.warm),
    ):
        cells = (f"{quantile(values, share):.2f}" for share in SHARES)
        rows.append((name, *cells, str(len(values))))
    table(rows)
    print("\nadded by the wake, ms")
    for low, high in zip((float("-inf"), *BINS), (*BINS, float("inf")), strict=True):
        count = sum(low < each <= high for each in added)
        if count:
            print(f"  ≤ {high:<5g} {count:5}  {'█' * round(60 * count / len(added))}")
    verdicts = ((0.5, 3.0), (0.99, 12.0))
    for share, limit in verdicts:
        got = quantile(added, share)
        word = "ok" if got <= limit else "MISSED"
        print(f"p{share * 100:g}: {got:.2f} ms, at most {limit:g} ms: {word}")
    print(f"cores that others used meanwhile: {strangers:.2f}")


@dataclass(slots=True)
class Sleeper:
    """An example that is stopped and woken, over and over."""

    name: str
    request: Request
    cold: Callable[[], float]
    limit: float
    bare: list[float] = field(default_factory=list)
    wakes: list[float] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)


def stopped(platform: Platform, rounds: int) -> tuple[list[Sleeper], float]:
    """Wake stopped services and start them by hand, by turns."""
    # Long enough for all of them to be woken, each in peace, before the first falls asleep again.
    rests = {"private": ("2s", "2s"), "demo": ("1h", "1h")}
    sleepers = [
        sleeper(platform, "blog", rests, "/graphql", POSTS),
        sleeper(platform, "orders", rests, "/orders"),
    ]
    if shutil.which("node"):
        sleepers.append(sleeper(platform, "inbox", rests, "/hooks", limit=1.15))
    news = News(platform)
    news.start()
    ids = [each.request.id for each in sleepers]
    news.asleep(ids, "stopped")
    for each in sleepers:  # whose files are read from the disk once; afterwards there is a parent
        with closing(Visitor(each.request)) as visitor:
            visitor.ask(each.request)
        each.cold()
    hush, strangers = Hush(platform, news), Strangers(platform)
    for number in range(rounds):
        news.asleep(ids, "stopped")
        hush.wait()
        if number == 0:
            require_parents(platform, 2)
        if number % 2:
            start_all(sleepers)
            wake_all(sleepers, news, hush)
        else:
            wake_all(sleepers, news, hush)
            news.asleep(ids, "stopped")
            hush.wait()
            start_all(sleepers)
        print(f"round {number + 1} of {rounds}", flush=True)
    news.stop()
    assert not news.failures, news.failures
    return sleepers, strangers.cores()


def sleeper(
    platform: Platform, name: str, rests: Any, path: str, body: bytes = b"", limit: float = 0.2
) -> Sleeper:
    made = example(platform, name, rests)["environments"]["private"]
    request = Request.to(made, path, "POST" if body else "GET", body)
    with closing(Visitor(request)) as visitor:  # it is to be there when its command is read
        visitor.ask(request)
    command = command_of(platform, made["id"])

    def ask(line: Line) -> None:
        status, answer = line.ask(path, json.loads(body) if body else None)
        assert status == 200 and b"errors" not in answer, answer

    return Sleeper(name, request, starter(command, ask), limit)


def starter(command: Command, ask: Callable[[Line], None]) -> Callable[[], float]:
    start = cold_start_on_port if "PORT" in command.environment else cold_start
    return lambda: start(command, ask)


def start_all(sleepers: Sequence[Sleeper]) -> None:
    for each in sleepers:
        each.bare.append(each.cold())


def wake_all(sleepers: Sequence[Sleeper], news: News, hush: Hush) -> None:
    for each in sleepers:
        hush.wait()
        with closing(Visitor(each.request)) as visitor:
            answer = visitor.ask(each.request)
            assert answer.wake is not None, "it was awake"
            each.wakes.append(answer.seconds)
            each.told.append(answer.wake / 1000)
            news.awake(each.request.id)
            time.sleep(SPACE)
            each.warm += [visitor.ask(each.request).seconds for _ in range(WARM)]


def require_parents(platform: Platform, count: int) -> None:
    """See that the libraries are loaded somewhere, or it is not what is to be measured."""
    keeper = psutil.Process(platform.status()["processes"]["keeper"])
    found = [each for each in keeper.children() if PARENT in each.cmdline()]
    assert len(found) == count, f"{len(found)} parents"


def tell_stopped(sleepers: Sequence[Sleeper], strangers: float) -> None:
    print()
    figures = []
    for each in sleepers:
        figures += [
            Figure(
                f"{each.name}: wake / bare cold start",
                ratios(each.wakes, each.bare),
                "×",
                each.limit,
            ),
            Figure("  wake from stopped", [wake * 1000 for wake in each.wakes], "ms"),
            Figure("  bare cold start", [bare * 1000 for bare in each.bare], "ms"),
        ]
    tell(figures)
    heads = ("\nmedians, ms", "until the application has it", "then, with the first query", "warm")
    rows: list[tuple[str, ...]] = [heads]
    for each in sleepers:
        then = [wake - told for wake, told in zip(each.wakes, each.told, strict=True)]
        columns = (each.told, then, each.warm)
        rows.append((f"  {each.name}", *(f"{statistics.median(x) * 1000:.1f}" for x in columns)))
    table(rows)
    rows = [("\nms", *(f"p{share * 100:g}" for share in SHARES[:-1]), "max")]
    for each in sleepers:
        for what, values in (("wake", each.wakes), ("bare", each.bare)):
            cells = (f"{quantile(values, share) * 1000:.1f}" for share in SHARES)
            rows.append((f"  {each.name}, {what}", *cells))
    table(rows)
    print(f"cores that others used meanwhile: {strangers:.2f}")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wakes", type=int, default=WAKES, metavar="N", help="from frozen")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="from stopped")
    parser.add_argument("--only", choices=("frozen", "stopped"))


def main() -> None:
    asked = arguments(__doc__, options)
    if asked.only != "stopped":
        with running() as platform:
            taken, strangers = frozen(platform, asked.wakes)
        tell_frozen(taken, strangers)
    if asked.only != "frozen":
        with running() as platform:
            sleepers, strangers = stopped(platform, asked.rounds)
        tell_stopped(sleepers, strangers)


if __name__ == "__main__":
    main()
