"""How long to wait before a child is started again."""

import random

FIRST = 0.1
"""Seconds before the first new start."""
LONGEST = 10.0
"""Seconds before a new start, at most."""
SETTLED = 10.0
"""A child that has lived this many seconds starts over with the shortest wait."""
_JITTER = 0.2


class Backoff:
    """Doubles from ``FIRST`` to ``LONGEST``, spread so that many children do not start as one."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = FIRST

    def after(self, lived: float, orderly: bool = False) -> float:
        """Return the seconds to wait after a run of ``lived`` seconds.

        One with an ``orderly`` end (exit code 0) wanted to be started anew: it starts over, too.
        """
        wait = FIRST if orderly or lived >= SETTLED else self._next
        self._next = min(wait * 2, LONGEST)
        return wait * random.uniform(1 - _JITTER, 1)  # noqa: S311  no secret is made of this
