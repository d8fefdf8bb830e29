"""Telling of changes, but not of each one of a flood."""

import asyncio
from collections.abc import Callable
from typing import Final

WINDOW: Final = 0.05  # seconds
BURST: Final = 4
"""News that are told at once in a window; a service says as much when it comes and goes."""


class News:
    """Calls ``publish`` after changes: at once for the first few or an urgent one, else soon.

    So a child that chatters about its status cannot cost subscribers their connection.
    """

    __slots__ = ("_missed", "_publish", "_told", "_window")

    def __init__(self, publish: Callable[[], None]) -> None:
        self._publish = publish
        self._window: asyncio.TimerHandle | None = None
        self._told = 0
        self._missed = False

    def changed(self, urgent: bool) -> None:
        """Say that something has changed."""
        if self._told >= BURST and not urgent:
            self._missed = True
            return
        if self._window is None:
            self._window = asyncio.get_running_loop().call_later(WINDOW, self.flush)
        self._told += 1
        self._missed = False
        self._publish()

    def flush(self) -> None:
        """Publish what has been held back."""
        if self._window:
            self._window.cancel()
            self._window = None
        self._told = 0
        if self._missed:
            self.changed(urgent=False)
