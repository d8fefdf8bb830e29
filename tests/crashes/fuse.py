"""Where a process can die, and what can happen meanwhile: around every effect and every commit."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.support.fakes import CrashError

LENGTHY = 4  # rounds of the event loop that an effect takes which takes a while
LONG = 400  # characters of a line of a trace
Check = Callable[..., None]
Pending = Callable[[], Awaitable[None]]


@dataclass
class Fuse:
    """Counts the points at which the process can die, and lets it.

    ``kills`` are numbers of points: the process dies at the first of them, the next one at the
    second, counted from its own start, and so on. Once dead, nothing can be done by it any more.
    """

    kills: list[int] = field(default_factory=list)
    points: int = 0
    passed: int = 0
    dead: bool = False
    died: list[str] = field(default_factory=list)
    trace: list[str] | None = None
    pending: tuple[int, Pending] | None = None
    here: str = "start"
    alone: bool = False
    """Nobody else can do anything: the process does not answer yet."""
    lengthy: bool = False
    """Every effect takes a while, in which whoever carries it out does something else."""

    def point(self, name: str) -> None:
        """Pass a point, or die there."""
        if self.dead:
            raise CrashError
        self.points += 1
        self.passed += 1
        if self.trace is not None:
            self.trace.append(name)
        if self.kills and self.passed == self.kills[0]:
            self.kills.pop(0)
            self.dead = True
            self.died.append(name)
            raise CrashError

    def note(self, *words: object) -> None:
        """Write down what happens, if somebody wants to read it."""
        if self.trace is not None:
            self.trace.append(" ".join(map(str, words))[:LONG])

    def midway(self) -> None:
        """Pass a point in the middle of an effect."""
        self.point(f"in {self.here}")

    def revive(self) -> None:
        """A new process starts."""
        self.dead = False
        self.passed = 0

    def later(self, pauses: int, what: Pending) -> None:
        """Have something done in the middle of whatever is done then, after so many pauses."""
        self.pending = (pauses, what)

    async def pause(self) -> None:
        """Between two effects: somebody else may do something."""
        if self.pending is None or self.alone:
            return
        left, what = self.pending
        if left > 1:
            self.pending = (left - 1, what)
            return
        self.pending = None
        await what()

    async def take_time(self) -> None:
        """Let everybody else go on, if effects take a while."""
        for _ in range(LENGTHY if self.lengthy else 0):
            await asyncio.sleep(0)

    async def now(self) -> None:
        """Do at once what is pending still."""
        if self.pending is not None:
            _, what = self.pending
            self.pending = None
            await what()


def guard(door: object, names: Iterable[str], fuse: Fuse, promises: object) -> None:
    """Wrap the effects of a door in place: each can be died before and after, and is checked.

    ``promises`` has a method for each effect that something is promised of, called with the same
    arguments.
    """
    for name in names:
        check = getattr(promises, name, _anything)
        setattr(door, name, _guarded(name, getattr(door, name), fuse, check))


def _guarded(
    name: str, effect: Callable[..., Awaitable[Any]], fuse: Fuse, check: Check
) -> Callable[..., Awaitable[Any]]:
    before, after = f"before {name}", f"after {name}"

    async def call(*args: Any, **kwargs: Any) -> Any:
        await fuse.pause()
        fuse.note(name, *args)
        fuse.point(before)
        await fuse.take_time()
        check(*args, **kwargs)
        fuse.here = name
        result = await effect(*args, **kwargs)
        fuse.point(after)
        return result

    return call


def guard_at_once(door: object, names: Iterable[str], fuse: Fuse, promises: object) -> None:
    """Wrap effects that nobody waits for, as ``guard`` does: files of the platform's own."""
    for name in names:
        check = getattr(promises, name, _anything)
        setattr(door, name, _guarded_at_once(name, getattr(door, name), fuse, check))


def _guarded_at_once(
    name: str, effect: Callable[..., Any], fuse: Fuse, check: Check
) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        fuse.note(name, *args)
        fuse.point(f"before {name}")
        check(*args)
        result = effect(*args)
        fuse.point(f"after {name}")
        return result

    return call


def _anything(*args: object, **kwargs: object) -> None:
    """Nothing is promised of this effect."""
