"""Kills of the control process of a real platform, in the middle of whatever it does.

``python -m bench.crashes --real N``: three services, each with somebody who changes it without a
pause: creates, pushes (also what does not start or does not migrate), promotes, includes, moves on
in a project, rolls back, excludes, removes. Meanwhile the control process dies, N times: at a point
between two effects that the dice choose (see ``bench/dying.py``), or at any moment, from outside
(SIGKILL). Instances are killed, too. Whoever was not answered looks what became of it; whoever was
answered relies on it: the change must be concluded, well if it was well.

Every 100 kills all stop for a moment: then every plan has to be empty, and there may be no process,
socket, database, role, folder or route that belongs to nothing (see ``bench/remains.py``).
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from bench.common import PATIENCE, client_of, table
from bench.people import QUIET, SHOP, Person, Tally
from bench.remains import Remains, instances
from codestore.cli.client import path
from codestore.cli.problems import CommandError
from codestore.wire.asks import NewProject
from tests.support.platform import Platform

DYING = Path(__file__).with_name("dying.py")
SERVICES = 3
EVERY = 100  # kills between two looks at what remains
POINTS = (8, 30, 100, 300)  # points of a life, at most: few or many
LIVES = (0.3, 0.6, 1.0, 2.0, 6.0)  # seconds with doors of a life that ends from outside, at most
UNBORN = 0.1  # share of these that end before, somewhere in the start
ORPHANED = 0.1  # share of these that end with their parent: the keeper starts it anew
LONGEST = 10.0  # seconds of any life, with doors
START = 0.5  # seconds until there are doors; where it takes longer, all these are longer, too
STARVED = 40.0  # seconds without an answer after which one life is spared until there is one


class Killer:
    """Kills the control process, and counts."""

    def __init__(self, platform: Platform, keeper: int, seed: int, tally: Tally) -> None:
        self._order = platform.home / "kill"
        self._platform, self._keeper, self._dice = platform, keeper, random.Random(seed)
        self._tally = tally
        self.kills: Counter[str] = Counter()

    def kill(self) -> None:
        """Let one control process die; how it dies was decided when the one before lived."""
        pid, outside = self.control(), not self._order.read_text()
        life = self._dice.uniform(0, self._dice.choice(LIVES)) if outside else LONGEST
        began = time.monotonic()
        if not outside or self._dice.random() >= UNBORN:
            self._born(pid)
        life *= max(1.0, (time.monotonic() - began) / START)
        spared = self._starved()
        if spared:
            self._feed(pid)
        self._order.write_text("" if spared or self._dice.random() < 0.5 else str(self._point()))
        until = time.monotonic() + life
        while self._lives(pid):
            if time.monotonic() > until:
                victim = self._parent() if self._dice.random() < ORPHANED else pid
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim or pid, signal.SIGKILL)
                self.kills["from outside"] += 1
                self._gone(pid)
                return
            if self._dice.random() < 0.0005:
                self._kill_an_instance()
            time.sleep(0.005)
        self.kills["between two effects"] += 1

    def _born(self, pid: int) -> None:
        """Wait until a process has its doors, or has died in its start."""
        doors = self._platform.home / "doors"
        until = time.monotonic() + PATIENCE
        while self._lives(pid) and time.monotonic() < until:
            if doors.exists() and doors.read_text() == str(pid):
                return
            time.sleep(0.005)

    def _starved(self) -> bool:
        return time.monotonic() - self._tally.answered_at > STARVED

    def _feed(self, pid: int) -> None:
        """Let it live until it answers somebody: on a slow machine few lives are long enough."""
        until = time.monotonic() + PATIENCE
        while self._lives(pid) and self._starved() and time.monotonic() < until:
            time.sleep(0.05)

    def _lives(self, pid: int) -> bool:
        return not _dead(pid)

    def spare(self) -> None:
        """Let one live that has no order to die."""
        self._order.write_text("")
        pid = self.control()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self._gone(pid)
        self.control()

    def control(self) -> int:
        """Return the process id of the control process, as soon as there is one."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            parent = self._parent()
            for pid in _children(parent) if parent else ():
                if not _dead(pid):
                    return pid
            time.sleep(0.005)
        raise AssertionError("no control process comes back")

    def _parent(self) -> int | None:
        """Return the process that forks the control process, while there is one."""
        for pid in _children(self._keeper):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"control" in line and b"keeper" not in line:  # spares are called as it is
                    return pid
        return None

    def _gone(self, pid: int) -> None:
        until = time.monotonic() + PATIENCE
        while self._lives(pid) and time.monotonic() < until:
            time.sleep(0.005)

    def _point(self) -> int:
        return self._dice.randint(1, self._dice.choice(POINTS))

    def _kill_an_instance(self) -> None:
        """Kill one, and say so before: what is only coming up fails for that reason."""
        running = [each for each in instances(self._platform) if each.running]
        if not running:
            return
        victim = self._dice.choice(running)
        self._tally.note_victim(victim.label["deployment"], int(victim.label["revision"]))
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGKILL)
            self.kills["of instances, beside"] += 1


def _children(pid: int) -> list[int]:
    try:
        told = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in told.split()]


def _dead(pid: int) -> bool:
    """Whether it has ended, although its parent may not know yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


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


def bench(kills: int, minutes: float, seed: int) -> int:
    """Kill so often, or as often as there is time for; return the exit code."""
    platform, tally = Platform(), Tally()
    platform.home.chmod(0o711)
    try:
        keeper = start(platform)
        killer, remains = Killer(platform, keeper, seed, tally), Remains(platform, keeper)
        client_of(platform).post(path("projects"), NewProject(SHOP))
        people = [Person(platform, f"k-{n}", seed * 100 + n, tally) for n in range(SERVICES)]
        for person in people:
            person.start()
        began, told = time.monotonic(), 0
        while _kills(killer) < kills and time.monotonic() - began < minutes * 60:
            killer.kill()
            done, over = _kills(killer), time.monotonic() - began >= minutes * 60
            if done // EVERY > told or done >= kills or over:
                told = done // EVERY
                killer.spare()
                look(platform, people, remains, tally)
                seconds = time.monotonic() - began
                said = f"{done} kills, {tally.acknowledged} changes acknowledged"
                print(f"{seconds:.0f} s: {said}, {len(tally.wrong)} wrong", flush=True)
        for person in people:
            person.over = True
        tell(killer, tally, time.monotonic() - began, platform)
        enough = _kills(killer) >= kills
    finally:
        with contextlib.suppress(OSError):
            (platform.home / "kill").write_text("")
        platform.close()
    return 0 if enough and not tally.wrong else 1


def _kills(killer: Killer) -> int:
    return killer.kills["between two effects"] + killer.kills["from outside"]


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
    until = time.monotonic() + PATIENCE
    while platform.run("status").returncode != 0:
        assert time.monotonic() < until, (platform.home / "up.log").read_text()
        time.sleep(0.2)
    return process.pid


def tell(killer: Killer, tally: Tally, seconds: float, platform: Platform) -> None:
    """Print the figures."""
    died = platform.home / "died"
    where = Counter(died.read_text().splitlines()) if died.exists() else Counter()
    rows = [("kills", ""), *((f"  {how}", str(n)) for how, n in killer.kills.most_common())]
    rows += [("  kinds of points", str(len(where))), ("seconds", f"{seconds:.0f}")]
    rows += [("changes acknowledged", str(tally.acknowledged))]
    rows += [("  not answered", str(tally.unanswered)), ("calls of services", str(tally.calls))]
    rows += [(f"  {act}", str(count)) for act, count in tally.acts.most_common()]
    rows += [("wrong", str(len(tally.wrong)))]
    print()
    table(rows)
    for said in tally.wrong:
        print(said)
