"""Rounds: whoever serves is asked again and again whether it is well, as a canary, too.

At its own socket or port, so that no proxy counts it as traffic; over a connection of its own each
time, so that nothing is left open which would keep it awake. Who is frozen, on its way out or
about to be frozen is not asked. One task knows who is next; those who sleep cost nothing.
"""

import asyncio
import contextlib
import heapq
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

import structlog

from codestore.drivers.process.child import Child
from codestore.drivers.process.children import Children
from codestore.drivers.process.instances import is_ready, serves, where
from codestore.drivers.process.probing import OverloadedError, check

EVERY = 10.0  # seconds from one question to the next
FAILURES = 3  # bad answers in a row that are more than an accident
AT_ONCE = 16  # questions at the same time
SETTLED = 0.2  # share of a pause in which one that has just begun to serve is not disturbed
FRESH = 1.0  # seconds for which an instance may still be busy with the end of an answer
log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Chart:
    """What is known of one that is asked. Times are those of the loop.

    ``failing`` says what is wrong with it, if that is certain.
    """

    pid: int
    due: float
    asked: float
    failures: int = 0
    failing: str | None = None


class Rounds:
    """Asks each that serves, every so many seconds; ``changed`` hears of whom the answer is new."""

    def __init__(
        self, children: Children, changed: Callable[[str], None], every: float = EVERY
    ) -> None:
        self._children = children
        self._changed = changed
        self._every = every
        self._charts: dict[str, Chart] = {}
        self._proved: dict[str, int] = {}
        self._queue: list[tuple[float, str]] = []
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._alone: Counter[str] = Counter()
        self._bell = asyncio.Event()

    def failing(self, name: str) -> str | None:
        """Return what is wrong with an instance, if that is certain."""
        chart = self._charts.get(name)
        return chart.failing if chart else None

    def follow(self, name: str) -> None:
        """Ask one that has proved itself, too: who waits long to be admitted is a canary."""
        child = self._children.get(name)
        if child is not None:
            self._proved[name] = child.pid
            self.note(name)

    def note(self, name: str) -> None:
        """Look whether a child is to be asked now, or no more; to be called when it has changed."""
        child = self._children.get(name)
        chart = self._charts.get(name)
        if child is None or child.label.health is None or not self._is_asked(child):
            if child is None or child.ending is not None:
                self._proved.pop(name, None)
            if chart:
                self._forget(name)
        elif chart is None or chart.pid != child.pid:
            self._forget(name)
            now = asyncio.get_running_loop().time()
            due = now + self._every * random.uniform(SETTLED, 1)  # noqa: S311  no secret
            self._charts[name] = Chart(child.pid, due, asked=now - FRESH)
            heapq.heappush(self._queue, (due, name))
            self._bell.set()

    @contextlib.asynccontextmanager
    async def left_alone(self, name: str) -> AsyncIterator[bool]:
        """Ask it nothing meanwhile.

        Yields whether it was asked just now, and may have a connection to us that it is closing.
        """
        self._alone[name] += 1
        try:
            asking, chart = self._asking.get(name), self._charts.get(name)
            if asking:
                asking.cancel()
                await asyncio.wait([asking])
            now = asyncio.get_running_loop().time()
            yield chart is not None and now - chart.asked < FRESH
        finally:
            self._alone[name] -= 1
            if not self._alone[name]:
                del self._alone[name]

    async def go(self) -> None:
        """Ask whoever is due, until cancelled."""
        try:
            while True:
                self._bell.clear()
                pause = self._ask_who_is_due()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._bell.wait()
        finally:
            for asking in self._asking.values():
                asking.cancel()
            await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def _is_asked(self, child: Child) -> bool:
        return serves(child) or (self._proved.get(child.name) == child.pid and is_ready(child))

    def _forget(self, name: str) -> None:
        self._charts.pop(name, None)
        if name in self._asking:
            self._asking[name].cancel()

    def _ask_who_is_due(self) -> float | None:
        """Begin; return the seconds until somebody is due, ``None`` if the bell will tell."""
        now = asyncio.get_running_loop().time()
        while self._queue and len(self._asking) < AT_ONCE:
            due, name = self._queue[0]
            if due > now:
                return due - now
            heapq.heappop(self._queue)
            chart = self._charts.get(name)
            if chart is None or chart.due != due:  # it is asked no more, or again
                continue
            chart.due = self._next(due, now)
            heapq.heappush(self._queue, (chart.due, name))
            if name not in self._alone and name not in self._asking:
                asking = asyncio.create_task(self._ask(name, chart), name=f"ask {name}")
                asking.add_done_callback(partial(self._asked, name, chart))
                self._asking[name] = asking
        return None

    def _next(self, due: float, now: float) -> float:
        """Return when it is asked again: in step with before, so that all stay apart."""
        late = (now - due) % self._every
        following = now - late + self._every
        return following if following > now + self._every / 2 else following + self._every

    async def _ask(self, name: str, chart: Chart) -> None:
        child = self._children.get(name)
        address = where(child, self._children.socket(name)) if child else None
        if child is None or child.label.health is None or address is None:
            return
        try:
            problem = await check(address, child.label.health)
            self._write(child.label.deployment, chart, problem)
        except OverloadedError:
            log.info("too busy to tell whether it answers", instance=name)
        except Exception:
            log.exception("could not ask", instance=name)

    def _asked(self, name: str, chart: Chart, _asking: asyncio.Task[None]) -> None:
        del self._asking[name]
        chart.asked = asyncio.get_running_loop().time()
        self._bell.set()

    def _write(self, deployment: str, chart: Chart, problem: str | None) -> None:
        before = chart.failing
        chart.failures = chart.failures + 1 if problem else 0
        if problem is None or chart.failures >= FAILURES:
            chart.failing = problem
        if chart.failing != before:
            self._changed(deployment)
