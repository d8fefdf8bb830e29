"""How long a request waited because its instance was asleep, told with the answer.

A deployment that nobody calls sleeps. The request that wakes it gets an instance that was started
for it (`WOKEN_AT`, Unix seconds) or one that was frozen and goes on (SIGCONT), and its answer says
what that took: `Server-Timing: wake;dur=<milliseconds>`, up to the moment at which the application
was handed the request.
"""

import math
import signal
import time
from collections.abc import MutableMapping

Header = tuple[bytes, bytes]

# A freeze that is called off ends with SIGCONT too, and no request waits for that one: the mark
# must not wait for whoever happens to call next, in seconds.
MEMORY = 1.0
# Who wanted to be served by an instance that was started may have left meanwhile, too, in seconds.
PATIENCE = 120.0


class Wake:
    """The mark that the first request after a wake takes away; `pending` until then."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Take `WOKEN_AT` out of the environment; what is not a time is no mark."""
        self.pending = False
        self._since = 0.0
        self._until = math.inf
        try:
            waited = time.time() - float(environ.pop("WOKEN_AT", "nan"))
        except ValueError:
            return
        if math.isfinite(waited):
            self._mark(waited, PATIENCE)

    def notice_thaws(self) -> None:
        """Begin anew whenever the process goes on; such a mark lapses after `MEMORY` seconds.

        Not by way of the event loop: it calls a signal's handler in turn, and a request on an
        open connection may have been before it.
        """
        signal.signal(signal.SIGCONT, lambda _number, _frame: self._mark(0.0, MEMORY))
        signal.siginterrupt(signal.SIGCONT, False)

    def take(self) -> list[Header]:
        """Return what to add to the response of the request at hand; the mark is gone then."""
        self.pending = False
        now = time.monotonic()
        if now > self._until:
            return []
        # Never below zero: the clock that WOKEN_AT was read from may have been set since.
        waited = max(0.0, now - self._since)
        return [(b"server-timing", b"wake;dur=%.1f" % (waited * 1000))]

    def _mark(self, waited: float, memory: float) -> None:
        now = time.monotonic()
        self._since, self._until = now - waited, now + memory
        self.pending = True
