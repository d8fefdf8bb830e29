"""Kills the control process over and over: at a point that it is told, or from outside."""

import contextlib
import os
import random
import select
import signal
import time
from collections import Counter
from pathlib import Path

from bench.common import PATIENCE
from bench.people import Tally
from bench.remains import instances
from tests.support.platform import Platform

POINTS = (5, 20, 60, 150)  # points of a life, at most: few or many
LIVES = (0.2, 0.5, 1.0, 2.0, 4.0)  # seconds with doors of a life that ends from outside, at most
UNBORN = 0.1  # share of these that end before, somewhere in the start
ORPHANED = 0.05  # share of these that end with their parent: the keeper starts it anew
LONGEST = 5.0  # seconds of any life, with doors
START = 0.5  # seconds until there are doors; where it takes longer, all these are longer, too
STARVED = 30.0  # seconds without the end of a change after which a life lasts until there is one
VICTIMS = 0.05  # instances killed a second, beside
GLANCE = 0.01  # seconds between two looks at what nobody tells
INSIDE, OUTSIDE = "between two effects", "from outside"


class Life:
    """A control process, until it ends. Lend it with ``with``: it holds a descriptor."""

    def __init__(self, pid: int) -> None:
        """Raises ProcessLookupError when nobody has this id any more."""
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def __enter__(self) -> "Life":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)

    def ends(self, seconds: float = 0.0) -> bool:
        """Wait so long for its end; tell whether it came."""
        ended, _, _ = select.select([self._descriptor], [], [], max(0.0, seconds))
        return bool(ended)


class Killer:
    """Kills the control process, and counts.

    What is in the file ``kill`` when one is born decides how it dies (see ``bench/dying.py``).
    """

    def __init__(self, platform: Platform, keeper: int, seed: int, tally: Tally) -> None:
        self._order = platform.home / "kill"
        self._platform, self._keeper, self._dice = platform, keeper, random.Random(seed)
        self._tally, self._parent = tally, 0
        self.kills: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How often the control process died."""
        return self.kills[INSIDE] + self.kills[OUTSIDE]

    def kill(self) -> None:
        """Let one control process die, and say how the next one does."""
        with self._life() as life:
            outside, starved = not self._order.read_text(), self._starved()
            told = "" if starved or self._dice.random() < 0.5 else str(self._point())
            self._order.write_text(told)
            seconds = self._dice.uniform(0, self._dice.choice(LIVES)) if outside else LONGEST
            began = time.monotonic()
            if not outside or self._dice.random() >= UNBORN:
                self._born(life)
            seconds *= max(1.0, (time.monotonic() - began) / START)
            if starved and outside:
                self._feed(life)
            if self._lived(life, seconds):
                self.kills[INSIDE] += 1
                return
            orphaned = self._dice.random() < ORPHANED
            self._end(life, self._parent if orphaned else life.pid)
            self.kills[OUTSIDE] += 1

    def spare(self) -> None:
        """Let one live that has no order to die."""
        self._order.write_text("")
        with self._life() as life:
            self._end(life, life.pid)
        with self._life() as life:
            self._born(life)

    def _lived(self, life: Life, seconds: float) -> bool:
        """Wait so long; tell whether it died of itself. Meanwhile instances may be killed."""
        until = time.monotonic() + seconds
        while not life.ends(min(until - time.monotonic(), 0.1)):
            if time.monotonic() >= until:
                return False
            if self._dice.random() < VICTIMS * 0.1:
                self._kill_an_instance()
        return True

    def _life(self) -> Life:
        """Return the control process, as soon as there is one."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for pid in _children(self._parent) if self._found() else ():
                with contextlib.suppress(ProcessLookupError):
                    life = Life(pid)
                    if not life.ends():
                        return life
                    life.close()
            time.sleep(GLANCE / 2)
        raise AssertionError("no control process comes back")

    def _found(self) -> bool:
        """Find the process that forks the control process; tell whether there is one."""
        if _is_parent(self._parent):
            return True
        found = (pid for pid in _children(self._keeper) if _is_parent(pid))
        self._parent = next(found, 0)
        return self._parent != 0

    def _born(self, life: Life) -> None:
        """Wait until a process has its doors, or has died in its start."""
        doors, until = self._platform.home / "doors", time.monotonic() + PATIENCE
        while not life.ends(GLANCE) and time.monotonic() < until:
            if doors.exists() and doors.read_text() == str(life.pid):
                return

    def _starved(self) -> bool:
        return time.monotonic() - self._tally.moved_at > STARVED

    def _feed(self, life: Life) -> None:
        """Let it live until a change ends: on a slow machine few lives are long enough."""
        until = time.monotonic() + PATIENCE
        while self._starved() and time.monotonic() < until and not life.ends(0.05):
            pass

    def _end(self, life: Life, victim: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        assert life.ends(PATIENCE), "it outlives SIGKILL"

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


def _is_parent(pid: int) -> bool:
    """Whether a process is what forks the control process; spares are called as the keeper is."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"control" in line and b"keeper" not in line
