"""How often somebody may try to log in, and how many at once.

Checking a password costs 32 MiB and much of a second on purpose, so it is done one after the other.
Tries are counted by account, in this process: who guesses gets five a minute, and an account's own
user waits at most that long.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from codestore.domain.faults import Fault, too_many

MOST_FAILURES: Final = 5
WINDOW: Final = timedelta(minutes=1)
_MOST_ACCOUNTS: Final = 10_000  # that are remembered; the one tried longest ago is forgotten
_MOST_WAITING: Final = 20  # callers; with more, the next are sent away


class Doorman:
    """Lets people try a password, one at a time. Belongs to one event loop."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], list[datetime]] = OrderedDict()
        self._turn = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn to check a password. Raises a TOO_MANY fault when too many wait."""
        if self._waiting >= _MOST_WAITING:
            raise _later("Too many people are logging in at this moment.")
        self._waiting += 1
        try:
            async with self._turn:
                yield
        finally:
            self._waiting -= 1

    def admit(self, account: tuple[str, str], now: datetime) -> None:
        """Count a try as a failure until it succeeds. Raises a TOO_MANY fault after too many.

        Before the password is checked, so that many tries at once are counted too.
        """
        recent = [at for at in self._failures.pop(account, []) if now - at < WINDOW]
        self._failures[account] = recent
        if len(recent) >= MOST_FAILURES:
            raise _later("The password was wrong too often.")
        recent.append(now)
        while len(self._failures) > _MOST_ACCOUNTS:
            self._failures.popitem(last=False)

    def succeeded(self, account: tuple[str, str]) -> None:
        """Forget the failures of an account."""
        self._failures.pop(account, None)


def _later(detail: str) -> Fault:
    seconds = WINDOW.total_seconds()
    return too_many("login_later", "Not now", detail, f"Try again in {seconds:g} s.")
