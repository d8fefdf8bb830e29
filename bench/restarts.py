"""The control process is ended over and over under constant load: not one request may fail.

    python -m bench.restarts [--restarts N] [--minutes N] [--seed N]

The services and the load of ``rollout``. Half of the restarts are a SIGTERM, half a SIGKILL, in an
order that the seed decides; each is followed by waiting until another control process answers, and
by seeing that Envoy and all instances are the ones from before. Every tenth time a version is
rolled as well, by turns afterwards, or so that the control process ends in the middle of it and
the next one has to carry it on.

Here a failure is one: the exit code is 1.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil

from bench.common import PATIENCE, arguments, running, table
from bench.load import Load, Tally, tell_load
from bench.remains import instances
from bench.rolling import GRAPH, REST, Release, Rolled, Shop
from bench.rollout import LAST, WARM, prepare
from bench.sleepers import News, quantile
from codestore.cli.problems import CommandError
from tests.support.platform import Platform

RESTARTS, MINUTES, SEED = 50, 20.0, 1
EVERY = 10  # restarts, one of them with a change
GLANCE = 0.02  # seconds between two looks whether somebody answers
PAUSES = (0.2, 1.0, 3.0, 10.5)  # seconds between an answer and the next end
SETTLED = 10.0  # seconds after which the keeper starts it again without waiting longer each time
MIDDLE = 0.7  # seconds at most into a change until the control process ends
SIGNALS = (signal.SIGTERM, signal.SIGKILL)


@dataclass(slots=True)
class Restarter:
    """Ends the control process, and looks at what the next one makes of it."""

    platform: Platform
    keeper: int
    ids: Sequence[str]
    shop: Shop
    tally: Tally
    dice: random.Random
    releases: Mapping[str, Sequence[Release]]
    live: dict[str, Release]
    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    rolled: list[str] = field(default_factory=list)
    pause: float = PAUSES[-1]
    wrong: list[str] = field(default_factory=list)

    def work(self, count: int, until: float) -> None:
        """End it so often, or as often as there is time for."""
        signals = [SIGNALS[number % 2] for number in range(count)]
        self.dice.shuffle(signals)
        for number, number_of_signal in enumerate(signals):
            if time.monotonic() > until:
                return
            try:
                if (number + 1) % EVERY:
                    self.restart(number, number_of_signal)
                else:
                    self.change(number, number_of_signal)
            except (Rolled, CommandError, AssertionError, psutil.Error) as error:
                self.wrong.append(f"{number}, {number_of_signal.name}: {error}")
                print(self.wrong[-1], flush=True)
            if (number + 1) % EVERY == 0:
                said = f"{self.tally.requests.total()} requests, {self.tally.failures} failed"
                print(f"{number + 1} restarts, {said}", flush=True)
            self.pause = self.dice.choice(PAUSES)
            time.sleep(self.pause)

    def restart(self, number: int, which: signal.Signals) -> None:
        """End the control process; return when another one answers."""
        before = self._others()
        self._end(number, which)
        self.tally.now(f"nothing, control answers after {number} ({which.name})")
        lost = before - self._others()
        assert not lost, f"they did not outlive it: {sorted(lost)}"

    def change(self, number: int, which: signal.Signals) -> None:
        """Roll a version, after the restart or across it."""
        service = self.dice.choice((REST, GRAPH))
        others = [each for each in self.releases[service] if each != self.live[service]]
        release = self.dice.choice(others)
        across = number // EVERY % 2 == 0
        if not across:
            self.restart(number, which)
        self.tally.now(f"{number}: {service} rolls to {release.version}")
        self.tally.versions[service].comes(release.version)
        change: Any = self.shop.begin_roll(release, "production")
        if across:
            time.sleep(self.dice.uniform(0, MIDDLE))
            self._end(number, which, f", while {service} rolls to {release.version}")
        self.shop.conclude(change)
        self.tally.versions[service].only(release.version)
        self.live[service] = release
        self.rolled.append("across a restart" if across else "after a restart")
        self.tally.now(f"nothing, {service} serves {release.version}")
        place = self.shop.place(service)
        assert place["version"] == release.version, place

    def _end(self, number: int, which: signal.Signals, more: str = "") -> None:
        old = self.shop.control()
        assert psutil.Process(old).ppid() == self.keeper, f"{old} is not below {self.keeper}"
        self.tally.now(f"{number}: control ({old}) gets {which.name}{more}")
        began = time.monotonic()
        os.kill(old, which)
        while True:
            assert time.monotonic() - began < PATIENCE, "no control process answers"
            try:
                if self.shop.control() != old:
                    break
            except CommandError:
                pass
            time.sleep(GLANCE)
        lived = "had lived 10 s" if self.pause >= SETTLED else "had lived less"
        self.took[f"{which.name}, {lived}"].append(time.monotonic() - began)

    def _others(self) -> set[int]:
        """Return who is to outlive it: Envoy, and the instances of what is live."""
        found: dict[str, dict[int, int]] = {}
        for child in instances(self.platform):
            if child.running and child.label["deployment"] in self.ids:
                revisions = found.setdefault(child.label["deployment"], {})
                revisions[child.pid] = int(child.label["revision"])
        newest = {
            pid
            for revisions in found.values()
            for pid, revision in revisions.items()
            if revision == max(revisions.values())
        }
        children = psutil.Process(self.keeper).children()
        return newest | {each.pid for each in children if each.name() == "envoy"}


async def press(restarter: Restarter, asked: argparse.Namespace) -> None:
    shop, tally = restarter.shop, restarter.tally
    load = Load(shop.place(REST), shop.place(GRAPH), tally, asked.seed)
    calling = asyncio.create_task(load.run())
    await asyncio.sleep(WARM)
    until = time.monotonic() + asked.minutes * 60
    try:
        await asyncio.to_thread(restarter.work, asked.restarts, until)
        tally.now("nothing, all restarts are done")
        await asyncio.sleep(LAST)
    finally:
        load.stop()
        await calling


def bench(platform: Platform, asked: argparse.Namespace) -> int:
    shop, releases = prepare(platform, scale=False)
    tally = Tally()
    live = {service: made[0] for service, made in releases.items()}
    for service, release in live.items():
        tally.versions[service].comes(release.version)
    keeper = platform.status()["processes"]["keeper"]
    ids = [shop.place(service)["id"] for service in (REST, GRAPH)]
    restarter = Restarter(
        platform, keeper, ids, shop, tally, random.Random(asked.seed), releases, live
    )
    news, began = News(platform), time.monotonic()
    news.start()
    asyncio.run(press(restarter, asked))
    news.stop()
    print(f"\n{time.monotonic() - began:.0f} s, seed {asked.seed}")
    rows: list[tuple[str, ...]] = [
        ("restarts: until the next one answers", "n", "p50, s", "p90, s", "max, s")
    ]
    for name, took in sorted(restarter.took.items()):
        cells = [f"{quantile(took, share):.2f}" for share in (0.5, 0.9, 1.0)]
        rows.append((f"  {name}", str(len(took)), *cells))
    table(rows)
    for what in sorted(set(restarter.rolled)):
        print(f"versions rolled {what}: {restarter.rolled.count(what)}")
    tell_load(tally)
    for line in (*restarter.wrong, *news.failures):
        print(line)
    missing = asked.restarts - sum(map(len, restarter.took.values()))
    return 1 if missing or tally.failures or restarter.wrong else 0


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--restarts", type=int, default=RESTARTS, metavar="N")
    parser.add_argument("--minutes", type=float, default=MINUTES, metavar="N", help="at most")
    parser.add_argument("--seed", type=int, default=SEED, metavar="N")


def main() -> None:
    asked = arguments(__doc__, options)
    with running() as platform:
        code = bench(platform, asked)
    sys.exit(code)


if __name__ == "__main__":
    main()
