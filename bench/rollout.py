"""Hundreds of changes of production under constant load: not one request may fail.

    python -m bench.rollout [--operations N | --rollouts N] [--minutes N] [--seed N]

Two services (see ``rolling``) in a project's production, called all the time (see ``load``). An
operation is one change of one of them, in an order that the seed decides: a version goes forward
(promoted from staging, all at once or as a canary), back, or on again (rolled); or one comes that
wants more instances, or fewer. ``--rollouts`` leaves canaries and the last two out. After each the
version that was asked for is the only one that may answer what is asked from then on.

What an operation takes is counted from the call of the API until it is told to be live, against a
bare cold start of the same service (see ``bare``), measured now and then beside the same load.

Here a failure is one: the exit code is 1.
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.bare import Command, cold_start, command_of
from bench.common import Line, arguments, running, table
from bench.load import Load, Tally, tell_load
from bench.rolling import DRAIN, GRAPH, REST, Release, Rolled, Shop
from bench.sleepers import News, quantile
from codestore.cli.problems import CommandError
from tests.support.platform import Platform

OPERATIONS, MINUTES, SEED = 200, 45.0, 1
RELEASES = 6
MORE = {3: 3, 5: 4}  # instances that these releases want in production
WARM = 3.0  # seconds of load before the first operation
LAST = DRAIN + 8.0  # seconds of load after the last one, in which its drain is over
BARE_EVERY = 10  # operations
PAUSE = 0.5  # seconds at most between two operations
TARGET = 2.5  # bare cold starts
QUERY = {"query": "{ version }"}
FORWARD, BACK, ON = "forward (promote)", "back (roll)", "on (roll)"
STEPWISE = "forward (canary)"
MORE_OF_IT, LESS_OF_IT = "more instances", "fewer instances"
ROLLOUTS = (FORWARD, BACK, ON)
KINDS = (*ROLLOUTS, STEPWISE, MORE_OF_IT, LESS_OF_IT)


@dataclass(frozen=True, slots=True)
class Done:
    """An operation that was carried out, and its seconds."""

    kind: str
    service: str
    seconds: float


@dataclass(slots=True)
class Operator:
    """Carries out one operation after the other."""

    platform: Platform
    shop: Shop
    tally: Tally
    dice: random.Random
    releases: Mapping[str, Sequence[Release]]
    commands: Mapping[str, Command]
    live: dict[str, Release]
    staged: dict[str, Release]
    done: list[Done] = field(default_factory=list)
    bare: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    refused: list[str] = field(default_factory=list)

    def work(self, count: int, *, scale: bool, until: float) -> None:
        """Carry out so many, or as many as there is time for."""
        for number in range(count):
            if time.monotonic() > until:
                return
            if number % BARE_EVERY == 0:
                self._start_bare()
            kind, release = self.choose(scale=scale)
            try:
                self.carry_out(number, kind, release)
            except (Rolled, CommandError, AssertionError) as error:
                self.refused.append(f"{number}, {kind} to {release}: {error}")
                print(self.refused[-1], flush=True)
                self._look(release.service)
            if (number + 1) % BARE_EVERY == 0:
                failed = f"{self.tally.requests.total()} requests, {self.tally.failures} failed"
                print(f"{number + 1} operations, {failed}", flush=True)
            time.sleep(self.dice.uniform(0, PAUSE))

    def choose(self, *, scale: bool) -> tuple[str, Release]:
        """Choose a kind first, so that each of them is as frequent."""
        found = defaultdict(list)
        for service, releases in self.releases.items():
            for release in releases:
                if release != self.live[service]:
                    for kind in kinds(self.live[service], release, scale=scale):
                        found[kind].append(release)
        kind = self.dice.choice([kind for kind in KINDS if kind in found])
        return kind, self.dice.choice(found[kind])

    def carry_out(self, number: int, kind: str, release: Release) -> None:
        service, before = release.service, self.live[release.service]
        forward = kind in (FORWARD, STEPWISE)
        if forward and self.staged[service] != release:
            self.tally.now(f"{number}: {release} to staging")
            self.shop.roll(release, "staging")
            self.staged[service] = release
        if forward:
            self.shop.free(service, "production")
        self.tally.now(f"{number}: {service} {kind}, {before.version} to {release.version}")
        versions = self.tally.versions[service]
        versions.comes(release.version)
        began = time.monotonic()
        if forward:
            self.shop.promote(service, "production", canary=kind == STEPWISE)
        else:
            self.shop.roll(release, "production")
        seconds = time.monotonic() - began
        versions.only(release.version)
        self.live[service] = release
        self.done.append(Done(kind, service, seconds))
        self.tally.now(f"nothing, {number} ({kind}) is done")
        place = self.shop.place(service)
        assert place["version"] == release.version, place
        assert place["instances"] >= release.instances, place

    def _start_bare(self) -> None:
        """Start each service by hand, once."""
        for service in (REST, GRAPH):
            self.tally.now(f"a bare start of {service} beside it")
            self.bare[service].append(cold_start(self.commands[service], asked(service)))
        self.tally.now("nothing, a bare start is over")

    def _look(self, service: str) -> None:
        """After an operation that was refused: whatever is live now is."""
        version = self.shop.place(service)["version"]
        live = next(each for each in self.releases[service] if each.version == version)
        self.live[service] = live
        self.tally.versions[service].only(version)


def kinds(live: Release, release: Release, *, scale: bool) -> Sequence[str]:
    """Say what it would be to go from one to the other."""
    if release.instances != live.instances:
        more = release.instances > live.instances
        return ([MORE_OF_IT] if more else [LESS_OF_IT]) if scale else []
    if release.version < live.version:
        return [BACK]
    return [FORWARD, ON, STEPWISE] if scale else [FORWARD, ON]


def asked(service: str) -> Any:
    """Return what asks an instance once."""

    def ask(line: Line) -> None:
        status, body = line.ask("/graphql", QUERY) if service == GRAPH else line.ask("/")
        assert status == 200, body

    return ask


def prepare(platform: Platform, *, scale: bool) -> tuple[Shop, dict[str, list[Release]]]:
    """Publish all releases; the first one is in production."""
    shop, releases = Shop(platform), {}
    shop.project()
    for service in (REST, GRAPH):
        made = [
            Release(service, f"1.0.{number}", MORE.get(number, 2) if scale else 2)
            for number in range(RELEASES)
        ]
        shop.create(made[0])
        shop.include(service)
        for release in made[1:]:
            shop.publish(release)
        releases[service] = made
        print(f"{service}: {len(made)} releases are published", flush=True)
    return shop, releases


def operator_of(
    platform: Platform, shop: Shop, releases: Mapping[str, Sequence[Release]], seed: int
) -> Operator:
    """Return who works on the platform; the first release of each service is live."""
    tally, first = Tally(), {service: made[0] for service, made in releases.items()}
    for service, release in first.items():
        tally.versions[service].comes(release.version)
    # Of private, where nothing was ever forked: a fork shows the command of its parent.
    commands = {service: command_of(platform, shop.private(service)) for service in releases}
    dice = random.Random(seed)
    return Operator(platform, shop, tally, dice, releases, commands, dict(first), dict(first))


async def press(operator: Operator, options: argparse.Namespace, *, scale: bool) -> None:
    shop, tally = operator.shop, operator.tally
    load = Load(shop.place(REST), shop.place(GRAPH), tally, options.seed)
    calling = asyncio.create_task(load.run())
    await asyncio.sleep(WARM)
    until = time.monotonic() + options.minutes * 60
    count = options.rollouts or options.operations
    try:
        await asyncio.to_thread(operator.work, count, scale=scale, until=until)
        tally.now("nothing, all operations are done")
        await asyncio.sleep(LAST)
    finally:
        load.stop()
        await calling


def bench(platform: Platform, options: argparse.Namespace) -> int:
    scale = not options.rollouts
    shop, releases = prepare(platform, scale=scale)
    operator = operator_of(platform, shop, releases, options.seed)
    tally = operator.tally
    news, began = News(platform), time.monotonic()
    news.start()
    asyncio.run(press(operator, options, scale=scale))
    news.stop()
    print(f"\n{time.monotonic() - began:.0f} s, seed {options.seed}")
    tell_operations(operator)
    tell_load(tally)
    for line in (*operator.refused, *news.failures):
        print(line)
    missing = (options.rollouts or options.operations) - len(operator.done)
    if missing:
        print(f"{missing} operations are missing")
    return 1 if missing or tally.failures else 0


def tell_operations(operator: Operator) -> None:
    bare = {name: statistics.median(values) for name, values in operator.bare.items()}
    for name, value in bare.items():
        print(f"bare cold start of {name}: {value:.3f} s, median of {len(operator.bare[name])}")
    heads = ("\noperations", "n", "p50, s", "p90, s", "max, s", "p50 ÷ bare", "p90 ÷ bare")
    rows: list[tuple[str, ...]] = [heads]
    for kind in (*KINDS, "all of them"):
        done = [each for each in operator.done if kind in (each.kind, "all of them")]
        if done:
            seconds = [each.seconds for each in done]
            shares = [each.seconds / bare[each.service] for each in done]
            cells = [f"{quantile(seconds, share):.2f}" for share in (0.5, 0.9, 1.0)]
            cells += [f"{quantile(shares, share):.2f}" for share in (0.5, 0.9)]
            rows.append((f"  {kind}", str(len(done)), *cells))
    table(rows)
    rolled = [each for each in operator.done if each.kind in ROLLOUTS]
    if rolled:
        middle = statistics.median(each.seconds / bare[each.service] for each in rolled)
        verdict = "ok" if middle <= TARGET else "MISSED"
        print(f"rollout ÷ bare cold start: {middle:.2f} ×, at most {TARGET:g}: {verdict}")


def options(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--operations", type=int, default=OPERATIONS, metavar="N")
    which.add_argument("--rollouts", type=int, default=0, metavar="N", help="and nothing else")
    parser.add_argument("--minutes", type=float, default=MINUTES, metavar="N", help="at most")
    parser.add_argument("--seed", type=int, default=SEED, metavar="N")


def main() -> None:
    asked_for = arguments(__doc__, options)
    with running() as platform:
        code = bench(platform, asked_for)
    sys.exit(code)


if __name__ == "__main__":
    main()
