"""Kills of the control process of a real platform, in the middle of whatever it does.

``python -m bench.crashes --real N``: services, each with somebody who changes it without a pause:
creates, pushes (also what does not start or does not migrate), promotes, includes, moves on in a
project, rolls back, sets secrets, replaces keys and passwords, excludes, removes. Some have one
instance more with a version, some are called by a crowd and grow, and whatever nobody calls falls
asleep. Meanwhile the control process dies, N times: at a point between two effects that the dice
choose (see ``bench/dying.py``), or at any moment, from outside (SIGKILL). Instances die, too.
Whoever was not answered looks what became of it; whoever was answered relies on it: the change
must be concluded, well if it was well.

Every 100 kills all stop for a moment: then every plan has to be empty, everything has to be told
once, and there may be no process, socket, database, role, folder or route that belongs to nothing
(see ``bench/remains.py``).
"""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.asking import SHOP
from bench.common import client_of, table
from bench.killer import Killer
from bench.people import QUIET, Person, Tally
from bench.remains import Remains
from codestore.cli.client import path
from codestore.cli.problems import CommandError
from codestore.wire.asks import NewProject
from tests.support.platform import Platform

DYING = Path(__file__).with_name("dying.py")
SERVICES = 3
EVERY = 100  # kills of a platform between two looks at what remains


def look(platform: Platform, people: list[Person], remains: Remains, tally: Tally) -> None:
    """Have everybody stand still; when nothing is to be done any more, look what there is."""
    for person in people:
        person.pause.set()
    for person in people:
        if not person.still.wait(2 * QUIET):
            tally.complain(f"{person.name} does not come to an end")
    until, complaints = time.monotonic() + QUIET, ["nobody has looked"]
    while complaints and time.monotonic() < until:  # what drains, or falls asleep, takes a while
        time.sleep(1)
        try:
            complaints = _unsettled(platform, people, remains) or _planned(platform)
        except CommandError as error:
            complaints = [f"nobody can look: {error}"]
    for said in complaints:
        tally.complain(said)
    for person in people:
        person.pause.clear()
        person.still.clear()


def _unsettled(platform: Platform, people: list[Person], remains: Remains) -> list[str]:
    """Return what is to be done still, or else what is there and should not be."""
    client = client_of(platform)
    plans = client.items(path("plan"))
    due = [f"{plan['environment']}: {plan['steps']}" for plan in plans if plan["steps"]]
    if due:
        return due
    deployments = {id_: held for person in people for id_, held in person.places().items()}
    services = [each["name"] for each in client.items(path("services"))]
    digests = {
        each["digest"]
        for service in services
        for each in client.items(path("services", service, "versions"))
    }
    return remains.complaints(deployments, digests)


def _planned(platform: Platform) -> list[str]:
    """Return what ``cs plan`` says while there is something to do: one may just fall asleep."""
    done = platform.run("plan")
    said = f"cs plan: {done.returncode} {done.stdout} {done.stderr}"
    return [] if done.returncode == 0 else [said]


class Scene:
    """A platform, the people at work on it, and who kills its control process. End with close."""

    def __init__(self, seed: int) -> None:
        self.platform, self.tally = Platform(), Tally()
        self.platform.home.chmod(0o711)
        try:
            keeper = start(self.platform)
            client_of(self.platform).post(path("projects"), NewProject(SHOP))
        except BaseException:
            self.platform.close()
            raise
        self.killer = Killer(self.platform, keeper, seed, self.tally)
        self.remains = Remains(self.platform, keeper)
        seeds = range(seed * 100, seed * 100 + SERVICES)
        self.people = [Person(self.platform, n, at, self.tally) for n, at in enumerate(seeds)]

    def play(self, goes_on: Callable[[], bool]) -> None:
        """Kill, and look at what remains every now and then, for as long as it goes on."""
        for person in self.people:
            person.start()
        while goes_on():
            for _ in range(EVERY):
                if not goes_on():
                    break
                self.killer.kill()
            self.killer.spare()
            look(self.platform, self.people, self.remains, self.tally)
            done, told = self.killer.count, self.tally
            said = f"{done} kills, {told.acknowledged} changes acknowledged"
            print(f"{self.platform.home.name}: {said}, {len(told.wrong)} wrong", flush=True)
        for person in self.people:
            person.over = True

    def close(self) -> None:
        with contextlib.suppress(OSError):
            (self.platform.home / "kill").write_text("")
        self.platform.close()


def bench(kills: int, minutes: float, seed: int, platforms: int) -> int:
    """Kill so often, or as often as there is time for; return the exit code.

    Several platforms are killed side by side: much of a life is waiting.
    """
    scenes: list[Scene] = []
    try:
        for number in range(platforms):
            scenes.append(Scene(seed + number))
        began, stopped = time.monotonic(), threading.Event()

        def count() -> int:
            return sum(scene.killer.count for scene in scenes)

        def goes_on() -> bool:
            over = stopped.is_set() or time.monotonic() - began >= minutes * 60
            return count() < kills and not over

        with ThreadPoolExecutor(platforms) as pool:
            try:
                for played in [pool.submit(scene.play, goes_on) for scene in scenes]:
                    played.result()
            finally:
                stopped.set()
        tell(scenes, time.monotonic() - began)
    finally:
        for scene in scenes:
            scene.close()
    return 0 if count() >= kills and not any(scene.tally.wrong for scene in scenes) else 1


def start(platform: Platform) -> int:
    """Start a platform whose control process can be told to die; return its keeper."""
    (platform.home / "kill").write_text("")
    command = [sys.executable, str(DYING), "up", "--data", str(platform.data)]
    log = (platform.home / "up.log").open("wb")
    process = subprocess.Popen(
        [*command, "--port", str(platform.port)],
        env=platform.environment(),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    until = time.monotonic() + QUIET
    while platform.run("status").returncode != 0:
        assert time.monotonic() < until, (platform.home / "up.log").read_text()
        time.sleep(0.2)
    return process.pid


def tell(scenes: list[Scene], seconds: float) -> None:
    """Print the figures."""
    killed, where, acts, events = (Counter[str]() for _ in range(4))
    for scene in scenes:
        died = scene.platform.home / "died"
        where.update(died.read_text().splitlines() if died.exists() else ())
        killed += scene.killer.kills
        acts += scene.tally.acts
        events += scene.remains.events()
    tallies = [scene.tally for scene in scenes]
    count = sum(scene.killer.count for scene in scenes)
    rows = [("kills", str(count)), *((f"  {how}", str(n)) for how, n in killed.most_common())]
    rows += [("  kinds of points", str(len(where)))]
    rows += [("seconds", f"{seconds:.0f}"), ("kills a minute", f"{60 * count / seconds:.1f}")]
    rows += [("changes acknowledged", str(sum(tally.acknowledged for tally in tallies)))]
    rows += [("  not answered", str(sum(tally.unanswered for tally in tallies)))]
    rows += [(f"  {act}", str(count)) for act, count in acts.most_common()]
    rows += [("calls of services", str(sum(tally.calls for tally in tallies)))]
    rows += [("events", ""), *((f"  {kind}", str(n)) for kind, n in events.most_common())]
    wrong = [said for tally in tallies for said in tally.wrong]
    print()
    table([*rows, ("wrong", str(len(wrong)))])
    print(f"load of the machine now: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for said in wrong:
        print(said)
