"""Telling of changes, but not of each one of a flood."""

import asyncio
from collections.abc import Callable
from typing import Final

BETWEEN: Final = 0.05
"""Seconds between two news that are not urgent."""


class News:
    """Calls ``publish`` after changes: at once for the first or an urgent one, else soon.

    So a child that chatters about its status cannot cost subscribers their connection.
    """

    __slots__ = ("_missed", "_publish", "_quiet")

    def __init__(self, publish: Callable[[], None]) -> None:
        self._publish = publish
        self._quiet: asyncio.TimerHandle | None = None
        self._missed = False

    def changed(self, urgent: bool) -> None:
        """Say that something has changed."""
        if self._quiet and not urgent:
            self._missed = True
            return
        if self._quiet:
            self._quiet.cancel()
        self._quiet = asyncio.get_running_loop().call_later(BETWEEN, self.flush)
        self._missed = False
        self._publish()

    def flush(self) -> None:
        """Publish what has been held back."""
        if self._quiet:
            self._quiet.cancel()
            self._quiet = None
        if self._missed:
            self.changed(urgent=False)
