"""One run of a child's program: its process, and what is known of it."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from codestore.keeper.bounds.limiting import Bounds
from codestore.keeper.walls.cell import Cell
from codestore.keeper.walls.view import View


def _nothing() -> None:
    pass


def _say_nothing(_text: str) -> None:
    pass


@dataclass(slots=True)
class Run:
    """A process and its story. ``started_at`` is in Unix seconds.

    ``ended`` is done as soon as the pid may be somebody else's; ``over`` is true when its output
    has been written too. ``sockets`` are those that it was given, by name, ``channel`` is our end
    towards a fork server, ``relays`` how many connections are being forwarded to ``port``.
    """

    name: str
    pid: int
    ended: asyncio.Future[int]
    user: tuple[int, int] | None = None
    sockets: tuple[str, ...] = ()
    port: int = 0
    channel: socket.socket | None = None
    bounds: Bounds | None = None
    view: View | None = None
    cell: Cell | None = None
    forked: bool = False
    started_at: float = field(default_factory=time.time)
    over: bool = False
    told: bool = False
    """Its start has been; what it says of itself is told after that."""
    ready: bool = False
    status: str = ""
    relays: int = 0
    probe: socket.socket | None = None
    """The connection by which it was found to be ready: good for the first who waits."""
    greeting: str = ""
    frozen: bool = False
    stopping: bool = False
    """It was asked to end: it may accept nothing more, at its port or anywhere."""
    freezing: bool = False
    """It is stopped, and it is being looked whether it may stay so."""
    thaw: Callable[[], None] = _nothing
    killed: bool = False
    """It was us who killed it."""
    cause: str = ""
    """Why it ended, where its exit does not say so."""
    shortage: str = ""
    """Why the kernel has last ended one of its processes; when that was noticed (monotonic)."""
    short_at: float = 0.0
    untold: bool = False
    """Its log does not say so yet."""
    say: Callable[[str], None] = _say_nothing
    """Writes a line about it to its log."""

    @property
    def alive(self) -> bool:
        """Whether the pid is certainly its own."""
        return not self.ended.done()

    @property
    def serving(self) -> bool:
        """Whether a connection may be forwarded to it (when it is frozen: after a thaw)."""
        return self.alive and self.ready and self.port > 0 and not self.stopping

    def outcome(self) -> tuple[int | None, str | None]:
        """Return exit code and signal name: one of them when it is over, neither before."""
        if not self.over:
            return None, None
        code = self.ended.result()
        return (code, None) if code >= 0 else (None, _signal_name(-code))

    def hear(self, variables: Mapping[str, str]) -> bool:
        """Take in an sd_notify message; tell whether it was news.

        Who has a port is ready when that accepts connections, whatever it says.
        """
        before = (self.ready, self.status)
        self.ready = self.ready or (variables.get("READY") == "1" and not self.port)
        self.status = variables.get("STATUS", self.status)
        return before != (self.ready, self.status)

    def take_probe(self) -> socket.socket | None:
        """Return the connection of the probe, to whom it belongs from then on."""
        taken, self.probe = self.probe, None
        return taken

    def kill(self) -> None:
        """SIGKILL it, frozen or not. When it has ended, the reaper kills its session's rest."""
        if self.alive:
            self.killed = True
            os.kill(self.pid, signal.SIGKILL)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"SIG{number}"
