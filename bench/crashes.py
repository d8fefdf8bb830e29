"""Crash proof: how many kills between any two effects the platform survives.

    python -m bench.crashes --fake N [--first SEED] [--processes N]
    python -m bench.crashes --seed SEED
    python -m bench.crashes --bugs [--only WORD] [--processes N]
    python -m bench.crashes --real N [--minutes N] [--first SEED] [--processes N]

``--fake`` plays histories of the real cycle on a world in memory (see ``tests/crashes``): first
every fixed one with a kill at every point, twice (people hear of steps when they are over, or while
they are done), and every change with everything in the middle of it; then N random ones, with kills
at random points. ``--seed`` plays one of these again and tells what happens. ``--bugs`` tests the
test: each mistake of ``tests/crashes/bugs.py`` is made in a copy of the platform, and has to be
caught. ``--real`` kills the control processes of real platforms N times (see ``bench/kills.py``).
``--processes`` is how many histories, bugs or platforms go side by side.

The exit code is 1 if anything failed.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice

from bench import kills
from bench.common import arguments, table
from tests.crashes import hunting
from tests.crashes.histories import FIXED
from tests.crashes.intrusions import intrusions
from tests.crashes.playing import play
from tests.crashes.random_histories import random_histories, random_history
from tests.crashes.running import Tally, run, show, systematic, told

CHUNK = 200  # histories that a process plays before it tells
SHOWN = 20  # failures that are shown in full
EVERY = 20.0  # seconds between two lines of progress
Part = Callable[[], Tally]


def fake(asked: argparse.Namespace) -> int:
    """Play the systematic histories, then the random ones; return the exit code."""
    heads = ("", "histories", "kills", "points", "failed", "s", "a second")
    rows: list[tuple[str, ...]] = [heads]
    failures = []
    for what, parts in (
        (f"a kill at every point of {len(FIXED)} histories", systematic_parts(lengthy=False)),
        ("the same, each step told of while it is done", systematic_parts(lengthy=True)),
        ("something in the middle of every change", intruding_parts()),
        ("random histories, kills at random points", random_parts(asked.first, asked.fake)),
    ):
        began = time.monotonic()
        tally = side_by_side(parts, asked.processes, what)
        seconds = time.monotonic() - began
        failures += tally.failures
        counts = (tally.histories, tally.kills, tally.points, len(tally.failures))
        rate = tally.histories / seconds
        rows.append((what, *(f"{each:,}" for each in counts), f"{seconds:.0f}", f"{rate:.0f}"))
    print()
    table(rows)
    print(f"load of the machine now: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for history, said in failures[SHOWN:]:
        print(f"{history.name}: {said}")
    return 1 if failures else 0


def systematic_parts(*, lengthy: bool) -> list[Part]:
    return [partial(_fixed, number, lengthy) for number in range(len(FIXED))]


def intruding_parts() -> list[Part]:
    count = sum(1 for _ in intrusions())
    return [partial(_intruding, first) for first in range(0, count, CHUNK)]


def random_parts(first: int, count: int) -> list[Part]:
    last = first + count
    return [partial(_random, at, min(CHUNK, last - at)) for at in range(first, last, CHUNK)]


def _fixed(number: int, lengthy: bool) -> Tally:
    return run(systematic([replace(FIXED[number], lengthy=lengthy)]))


def _intruding(first: int) -> Tally:
    return run(islice(intrusions(), first, first + CHUNK))


def _random(first: int, count: int) -> Tally:
    return run(random_histories(first, count))


def _do(part: Part) -> Tally:
    return part()


def side_by_side(parts: Sequence[Part], processes: int, what: str) -> Tally:
    """Play in several processes; show what goes wrong as soon as it is told."""
    whole, told_at = Tally(), time.monotonic() + EVERY
    with ProcessPoolExecutor(processes) as pool:
        for tally in pool.map(_do, parts):
            for history, said in tally.failures:
                if len(whole.failures) < SHOWN:
                    show(history, said)
                whole.failures.append((history, said))
            whole.histories += tally.histories
            whole.kills += tally.kills
            whole.points += tally.points
            if time.monotonic() > told_at:
                told_at = time.monotonic() + EVERY
                counts = f"{whole.histories:,} histories, {whole.kills:,} kills"
                print(f"{what}: {counts}, {len(whole.failures)} failed", flush=True)
    return whole


def again(seed: int) -> int:
    """Play the history of a seed, and tell what happens in it."""
    history = random_history(seed)
    print(history)
    played = asyncio.run(play(history, trace=True))
    print("\n".join(f"  {line}" for line in played.trace or ()))
    print(told(played) if played.error is not None else "all is well")
    return 1 if played.error is not None else 0


def options(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--fake", type=int, metavar="N", help="random histories")
    what.add_argument("--seed", type=int, metavar="SEED", help="the history to be told")
    what.add_argument("--bugs", action="store_true")
    what.add_argument("--real", type=int, metavar="N", help="kills")
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    parser.add_argument("--only", default="", metavar="WORD", help="bugs whose name has it")
    parser.add_argument("--minutes", type=float, default=60.0, metavar="N", help="at most")


def main() -> None:
    asked = arguments(__doc__, options)
    if asked.seed is not None:
        code = again(asked.seed)
    elif asked.bugs:
        code = hunting.hunt(asked.only, asked.processes)
    elif asked.real is not None:
        code = kills.bench(asked.real, asked.minutes, asked.first, asked.processes)
    else:
        code = fake(asked)
    sys.exit(code)


if __name__ == "__main__":
    main()
