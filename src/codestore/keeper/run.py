"""One run of a child's program: its process, and what it has said."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Run:
    """A process and its story. ``started_at`` is in Unix seconds.

    ``ended`` is done as soon as the pid may be somebody else's; ``over`` is true when its output
    has been written too.
    """

    pid: int
    ended: asyncio.Future[int]
    started_at: float = field(default_factory=time.time)
    over: bool = False
    ready: bool = False
    status: str = ""

    @property
    def alive(self) -> bool:
        """Whether the pid is certainly its own."""
        return not self.ended.done()

    def outcome(self) -> tuple[int | None, str | None]:
        """Return exit code and signal name: one of them when it is over, neither before."""
        if not self.over:
            return None, None
        code = self.ended.result()
        return (code, None) if code >= 0 else (None, _signal_name(-code))

    def hear(self, variables: Mapping[str, str]) -> bool:
        """Take in an sd_notify message; tell whether it was news."""
        before = (self.ready, self.status)
        self.ready = self.ready or variables.get("READY") == "1"
        self.status = variables.get("STATUS", self.status)
        return before != (self.ready, self.status)

    def kill(self) -> None:
        """SIGKILL it. When the leader has ended, the reaper kills the rest of its session."""
        if self.alive:
            os.kill(self.pid, signal.SIGKILL)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"SIG{number}"
