"""Telling whom the kernel has ended for want of memory: a child, or a process that it started.

The kernel counts them, and tells nobody. What is counted may be seen before the end of the child
itself is: so a shortage is told of as one of its processes' only when it has outlived it.
"""

import asyncio
import signal
import time
from collections.abc import Mapping
from typing import Final

from codestore.keeper.run import Run

LOOK: Final = 5.0
"""Seconds between two looks at those who run on."""
OUTLIVED: Final = 2.0
"""Seconds after which it is certain that the child itself was not meant: it would have ended."""
_LINE: Final = "a process of it was killed: {}"
_AT_ONCE: Final = 32  # looked at before everybody else gets a turn


class Shortages:
    """Looks after the running children, by name."""

    def __init__(self, runs: Mapping[str, Run]) -> None:
        self._runs = runs

    async def watch(self) -> None:
        """Look now and then, until cancelled; who is frozen cannot want any memory."""
        while True:
            await asyncio.sleep(LOOK)
            for number, run in enumerate(tuple(self._runs.values()), start=1):
                if run.alive and not run.frozen:
                    _look(run)
                if number % _AT_ONCE == 0:
                    await asyncio.sleep(0)


def post_mortem(run: Run) -> str:
    """Find out whether it has ended for that reason: its ``cause``.

    Return what is to be said in its log if not the child itself, but a process of it had.
    """
    _notice(run)
    if not run.untold:
        return ""
    if run.ended.result() == -signal.SIGKILL and not run.killed:
        run.cause = run.shortage
        return ""
    return _LINE.format(run.shortage)


def _look(run: Run) -> None:
    if run.untold and time.monotonic() - run.short_at > OUTLIVED:
        run.untold = False
        run.say(_LINE.format(run.shortage))
    _notice(run)


def _notice(run: Run) -> None:
    words = run.bounds.shortage() if run.bounds else ""
    if words:
        run.shortage, run.short_at, run.untold = words, time.monotonic(), True
