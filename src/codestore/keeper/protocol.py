"""The words that cross the keeper's socket: requests, events, listings.

One JSON object per line. A request is ``{"id": n, "op": "listen", ...fields}``; its answer is
``{"id": n, "ok": ...}`` or ``{"id": n, "error": {"code", "message"}}``. Requests of one connection
begin in the order sent; answers may come in any order. A connection that has subscribed also
receives ``{"event": "exited", ...fields}`` lines.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

from codestore.keeper.spec import ChildSpec, check_name, require, signal_number


@dataclass(frozen=True, slots=True)
class Listen:
    """Hold a listening stream socket ``name``; answers its path. Idempotent by name."""

    name: str
    backlog: int = 4096

    def __post_init__(self) -> None:
        check_name(self.name)
        require(1 <= self.backlog <= 65535, f"backlog {self.backlog} is not within 1..65535")


@dataclass(frozen=True, slots=True)
class Close:
    """Close and unlink the socket ``name``. Idempotent."""

    name: str


@dataclass(frozen=True, slots=True)
class Watch:
    """Emit one ``Pending`` when a connection waits at the socket ``name``; then stop watching."""

    name: str


@dataclass(frozen=True, slots=True)
class Unwatch:
    """Stop watching the socket ``name``."""

    name: str


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a child; answers its pid. While one of this name runs, answers that one's pid."""

    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class Signal:
    """Send a signal to a running child, or to its whole process group."""

    name: str
    signal: str
    group: bool = True

    def __post_init__(self) -> None:
        signal_number(self.signal)


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask a child to stop, kill its session after ``grace`` seconds, never start it again.

    Answers at once: true when an ``Exited`` will follow, false when it was not running.
    """

    name: str
    grace: float = 10.0

    def __post_init__(self) -> None:
        _check_grace(self.grace)


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop the record of a child that has ended. Idempotent."""

    name: str


@dataclass(frozen=True, slots=True)
class Relabel:
    """Have another label remembered of a child, from now on."""

    name: str
    label: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class List:
    """Answers a ``Listing``."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Send every event from now on to this connection."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop every child, lowest order first, each order within ``grace`` seconds; then exit."""

    grace: float = 10.0

    def __post_init__(self) -> None:
        _check_grace(self.grace)


@dataclass(frozen=True, slots=True)
class Started:
    """A child runs its program."""

    name: str
    pid: int


@dataclass(frozen=True, slots=True)
class Exited:
    """A child has ended and its output is written: ``code``, or the name of the ``signal``."""

    name: str
    pid: int
    code: int | None
    signal: str | None
    label: Mapping[str, str]
    will_restart: bool


@dataclass(frozen=True, slots=True)
class Pending:
    """A connection waits at a watched socket. The watch is off now."""

    socket: str


@dataclass(frozen=True, slots=True)
class Notify:
    """A child's readiness or its status line has changed."""

    name: str
    ready: bool
    status: str


@dataclass(frozen=True, slots=True)
class ChildView:
    """A child as listed. ``started_at`` is in Unix seconds.

    ``code`` or ``signal`` tells how the last run ended, and is null while it runs.
    """

    name: str
    pid: int
    started_at: float
    running: bool
    code: int | None
    signal: str | None
    will_restart: bool
    restarts: int
    ready: bool
    status: str
    label: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SocketView:
    """A held socket as listed."""

    name: str
    path: str
    watched: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """All that the keeper holds, by name."""

    children: tuple[ChildView, ...]
    sockets: tuple[SocketView, ...]


SocketRequest = Listen | Close | Watch | Unwatch
ChildRequest = Signal | Stop | Forget | Relabel
Request = SocketRequest | ChildRequest | Spawn | List | Subscribe | Shutdown
Event = Started | Exited | Pending | Notify

REQUESTS: Final[Mapping[str, type[Request]]] = {
    kind.__name__.lower(): kind for kind in get_args(Request)
}
EVENTS: Final[Mapping[str, type[Event]]] = {kind.__name__.lower(): kind for kind in get_args(Event)}


def _check_grace(grace: float) -> None:
    require(0 <= grace <= 86_400, f"grace {grace} is not within 0..86400 seconds")
