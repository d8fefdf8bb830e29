"""A rollback in production, against a warm start of what it starts.

    python -m bench.back [--rounds N]

Two services, each in a project's production with two instances: the template (GraphQL) and the
FastAPI example with its database. A rollback is counted from the call of the API until it is told
to be live. A warm start is the command of an instance, spawned by hand as often as production has
instances, at once, in the same folder with the same environment, until each has answered:
everything is prepared, and its files have just been read. Nothing else calls. (The command is that
of private, where nothing was ever forked: a fork shows the command of its parent.)

The version that is gone back to has served for ``SERVED`` seconds before: of one that was left
within a few there is no parent to fork from, and its instances are started plainly.
"""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.bare import Ask, cold_start, command_of
from bench.common import Figure, Line, client_of, ratios, rounds, running, tell
from bench.life import conclude, greeted, parts, settle, tell_parts
from codestore.cli.client import Client, path
from codestore.wire.asks import Roll
from tests.support.platform import Platform

ROUNDS = 10
PROJECT, PRODUCTION = "shop", "production"
INSTANCES = 2
LIMIT = 1.5  # warm starts
SERVED = 10.0  # seconds for which a version has served before another one comes


@dataclass(slots=True)
class Taken:
    """What one service took, in seconds."""

    name: str
    ask: Ask
    private: str
    versions: tuple[str, str]
    back: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    one: list[float] = field(default_factory=list)
    parts: list[dict[str, float]] = field(default_factory=list)


def ordered(line: Line) -> None:
    """Ask for a page with a query."""
    status, body = line.ask("/orders")
    assert status == 200, body


def publish(platform: Platform, made: Any, folder: Path, ask: Ask) -> Taken:
    """Bring two versions of a service to production, the second one live."""
    name, private = made["name"], made["environments"]["private"]["id"]
    first = platform.cs("project:service:add", PROJECT, name, timeout=300)
    time.sleep(SERVED)
    (folder / "README.md").write_text("another version\n")
    platform.cs("push", "--dir", str(folder), "-r", "another version", timeout=300)
    platform.cs("promote", name)
    for environment in ("development", "staging", PRODUCTION):
        platform.cs("project:service:promote", PROJECT, name, "--to", environment)
    before = first["environments"][PRODUCTION]["version"]
    return Taken(name, ask, private, (before, place(client_of(platform), name)["version"]))


def place(client: Client, name: str) -> Mapping[str, Any]:
    where = path("projects", PROJECT, "services", name)
    found: Mapping[str, Any] = client.get(where)["environments"][PRODUCTION]
    return found


def take(platform: Platform, taken: Taken) -> None:
    """Roll back once, and on again; start by hand between them."""
    client, where = client_of(platform), path("projects", PROJECT, "services", taken.name, "roll")
    older, newer = taken.versions
    settle(client)
    began = time.time()
    change = client.post(where, Roll(PRODUCTION, older))
    conclude(client, change)
    told = time.time()
    taken.back.append(told - began)
    taken.parts.append(parts(client, change, began, told))
    found = place(client, taken.name)
    assert (found["version"], found["instances"]) == (older, INSTANCES), found
    settle(client)
    command = command_of(platform, taken.private)
    taken.one.append(cold_start(command, taken.ask))
    taken.warm.append(cold_start(command, taken.ask, INSTANCES))
    conclude(client, client.post(where, Roll(PRODUCTION, newer)))


def main() -> None:
    count = rounds(__doc__, ROUNDS)
    with running() as platform:
        platform.cs("project:create", PROJECT)
        folder, made = platform.create("template")
        services = [publish(platform, made, folder, greeted)]
        folder = platform.copy("orders")
        made = platform.cs("service:create", "orders", "--dir", str(folder), timeout=300)
        services.append(publish(platform, made, folder, ordered))
        for number in range(count):
            for taken in services:
                take(platform, taken)
            print(f"round {number + 1} of {count}", flush=True)
    print()
    figures = []
    for taken in services:
        shares = ratios(taken.back, taken.warm)
        figures += [
            Figure(f"{taken.name}: rollback ÷ warm start of {INSTANCES}", shares, "×", LIMIT),
            Figure("  ÷ of one", ratios(taken.back, taken.one), "×"),
            Figure("  rollback", taken.back, "s"),
            Figure(f"  warm start of {INSTANCES}", taken.warm, "s"),
        ]
    tell(figures)
    for taken in services:
        tell_parts(f"{taken.name}, a rollback", taken.parts, statistics.median(taken.warm))


if __name__ == "__main__":
    main()
