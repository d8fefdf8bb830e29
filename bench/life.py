"""A create and a push, against a bare cold start of the same service.

The bare start is the platform's own command, in the same folder with the same environment and the
same two sockets, spawned by hand: from the fork to the first answer. A create is counted from the
call of the API until both URLs have answered, a push until the new version has.

    python -m bench.life [--rounds N]
"""

import io
import json
import statistics
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.bare import cold_start, command_of
from bench.common import (
    PATIENCE,
    Figure,
    Line,
    client_of,
    ratios,
    rounds,
    running,
    table,
    tell,
)
from codestore.cli.client import Client, path
from codestore.cli.pack import packed
from codestore.cli.scaffold import Template, scaffold
from tests.support.platform import Platform

ROUNDS = 9
GLANCE = 0.002  # seconds between two looks whether a URL answers
QUIET = 0.4  # seconds without news after which nothing is going on any more
GREETING = "Hello, World!"
RESOLVER = "src/resolvers/queries/helloWorld.py"
BEFORE, WAITING = "until it is accepted: upload, check, seal, write", "until the first step"
COMING, BETWEEN = "before prove: the instance loads", "between the other steps"
AFTER = "after the last step, until it answers"
LAST = (COMING, BETWEEN, AFTER)


@dataclass(slots=True)
class Taken:
    """Seconds of each round, and the parts of each change."""

    bare: list[float] = field(default_factory=list)
    two: list[float] = field(default_factory=list)
    create: list[float] = field(default_factory=list)
    push: list[float] = field(default_factory=list)
    command: list[float] = field(default_factory=list)
    create_parts: list[dict[str, float]] = field(default_factory=list)
    push_parts: list[dict[str, float]] = field(default_factory=list)


def archive(folder: Path) -> io.BytesIO:
    with packed(folder) as made:
        made.seek(0)
        return io.BytesIO(made.read())


def create(client: Client, name: str, folder: Path) -> tuple[float, dict[str, float], Any]:
    """Return the seconds until both URLs answer, where they went, and the service."""
    ready = archive(folder)
    began = time.time()
    change = client.upload(path("services"), {"name": name, "notes": None}, ready)
    for place in change["document"]["environments"].values():
        until(place, GREETING)
    answered = time.time()
    conclude(client, change)
    return answered - began, parts(client, change, began, answered), change["document"]


def push(
    client: Client, name: str, folder: Path, private: Any, text: str
) -> tuple[float, dict[str, float]]:
    """Return the seconds until the new version answers, and where they went."""
    (folder / RESOLVER).write_text(f"def resolve(obj, info):\n    return {text!r}\n")
    ready = archive(folder)
    began = time.time()
    change = client.upload(path("services", name, "versions"), {"notes": None}, ready)
    conclude(client, change)
    with closing(Line(private["url"], private["key"])) as line:
        said = line.hello()
    answered = time.time()
    assert said == text, said
    return answered - began, parts(client, change, began, answered)


def until(place: Any, text: str) -> None:
    """Ask over and over; before there is a route it is 404, without an instance 503."""
    given_up = time.time() + PATIENCE
    with closing(Line(place["url"], place["key"])) as line:
        while line.hello() != text:
            assert time.time() < given_up, f"{place['url']} does not answer"
            time.sleep(GLANCE)


def conclude(client: Client, change: Any) -> None:
    waits = [f"{wait['deployment']}:{wait['generation']}" for wait in change["waits"]]
    for message in client.stream("/api/watch", {"wait": waits}):
        if message.event == "end":
            assert json.loads(message.data)["succeeded"], message.data
            return
    raise AssertionError("the stream broke")


def parts(client: Client, change: Any, began: float, answered: float) -> dict[str, float]:
    """Say where the time went, by the events of the deployment that was ready last."""
    generations = {wait["deployment"]: wait["generation"] for wait in change["waits"]}
    events = [
        event
        for event in client.get("/api/events", {"limit": 500})["items"]
        if generations.get(event["deployment"]) == event["generation"]
    ]
    return max((split(events, id_, began, answered) for id_ in generations), key=last_step)


def last_step(found: dict[str, float]) -> float:
    return -found[AFTER]


def split(
    events: list[dict[str, Any]], deployment: str, began: float, answered: float
) -> dict[str, float]:
    mine = [event for event in events if event["deployment"] == deployment]
    asked = next(moment(event) for event in mine if event["kind"] == "asked")
    steps = [
        (str(event["step"]).partition(":")[0], moment(event) - event["duration"], moment(event))
        for event in mine
        if event["kind"] == "step_done" and moment(event) <= answered
    ]
    found = {BEFORE: asked - began, WAITING: steps[0][1] - asked}
    for name, start, done in steps:
        found[name] = found.get(name, 0.0) + done - start
    found |= {COMING: 0.0, BETWEEN: 0.0}
    for (_, _, done), (name, start, _) in pairwise(steps):
        found[COMING if name == "prove" else BETWEEN] += start - done
    found[AFTER] = answered - steps[-1][2]
    return found


def moment(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["at"]).timestamp()


def settle(client: Client) -> None:
    """Wait until nothing has happened for a while: what one round leaves is not the next one's."""
    while True:
        newest = client.get("/api/events", {"limit": 1})["items"]
        if not newest or time.time() - moment(newest[-1]) > QUIET:
            return
        time.sleep(QUIET / 4)


def greeted(line: Line) -> None:
    assert line.hello()


def take(platform: Platform, count: int) -> Taken:
    taken = Taken()
    client = client_of(platform)
    _, prepared = platform.create("prepared")  # from now on its environment is there for all
    command = command_of(platform, prepared["environments"]["private"]["id"])
    for number in range(count):
        name, other = f"by-api-{number}", f"by-command-{number}"
        folder = platform.home / name
        scaffold(Template.GRAPHQL, folder, name)
        bare = [cold_start(command, greeted)]
        seconds, where, service = create(client, name, folder)
        taken.create.append(seconds)
        taken.create_parts.append(where)
        settle(client)
        bare.append(cold_start(command, greeted))
        private = service["environments"]["private"]
        seconds, where = push(client, name, folder, private, f"round {number}")
        taken.push.append(seconds)
        taken.push_parts.append(where)
        settle(client)
        bare.append(cold_start(command, greeted))
        taken.two.append(cold_start(command, greeted, 2))
        began = time.time()
        _, made = platform.create(other)
        for place in made["environments"].values():
            until(place, GREETING)
        taken.command.append(time.time() - began)
        taken.bare.append(statistics.median(bare))
        for each in (name, other):
            conclude(client, client.delete(path("services", each)))
        settle(client)
        print(f"round {number + 1} of {count}", flush=True)
    return taken


def tell_parts(title: str, found: list[dict[str, float]], bare: float) -> None:
    """Print the medians of the parts."""
    names = list(dict.fromkeys(name for each in found for name in each))
    names = [name for name in names if name not in LAST] + list(LAST)
    rows = [(f"\n{title}", "ms", "× bare")]
    for name in names:
        middle = statistics.median(each.get(name, 0.0) for each in found)
        rows.append((f"  {name}", f"{middle * 1000:.0f}", f"{middle / bare:.2f}"))
    table(rows)


def main() -> None:
    count = rounds(__doc__, ROUNDS)
    with running() as platform:
        taken = take(platform, count)
    print()
    tell(
        [
            Figure("bare cold start", taken.bare, "s"),
            Figure("two bare cold starts at once", ratios(taken.two, taken.bare), "×"),
            Figure("create, both URLs answer", ratios(taken.create, taken.bare), "×", 2.5),
            Figure("  all of cs service:create", ratios(taken.command, taken.bare), "×"),
            Figure("push, the new version answers", ratios(taken.push, taken.bare), "×", 3),
        ]
    )
    bare = statistics.median(taken.bare)
    tell_parts("create, the deployment that is ready last", taken.create_parts, bare)
    tell_parts("push", taken.push_parts, bare)


if __name__ == "__main__":
    main()
