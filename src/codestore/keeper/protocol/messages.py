"""The words that cross the keeper's socket: requests, events, listings.

One JSON object per line. A request is ``{"id": n, "op": "listen", ...fields}``; its answer is
``{"id": n, "ok": ...}`` or ``{"id": n, "error": {"code", "message"}}``. Requests of one connection
begin in the order sent; answers may come in any order. A connection that has subscribed also
receives ``{"event": "exited", ...fields}`` lines.

A field that has its default is not sent. So one that is new, with a default, may be unknown to a
keeper of an earlier release, as long as it is not used: ``Listing`` tells what there is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, get_args

from codestore.keeper.protocol.views import ChildView as ChildView
from codestore.keeper.protocol.views import Listing as Listing
from codestore.keeper.protocol.views import SocketView as SocketView
from codestore.keeper.spec import ChildSpec, check_name, require, signal_number

BACKLOG: Final = 4096
"""Connections that may wait at a socket, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Hold a listening stream socket ``name``; answers its path. Idempotent by name.

    Of one that is held already it sets the backlog; what waits there stays.
    """

    name: str
    backlog: int = BACKLOG

    def __post_init__(self) -> None:
        check_name(self.name)
        _check_backlog(self.backlog)


@dataclass(frozen=True, slots=True)
class Close:
    """Close and unlink the socket ``name``. Idempotent."""

    name: str


@dataclass(frozen=True, slots=True)
class Watch:
    """Emit one ``Pending`` when a connection waits at the socket ``name``; then stop watching.

    With ``spawn``, that child is started too, and when it has a port, it is forwarded to.
    Replaces a former watch of the socket, also the one by which a frozen child is thawed.
    """

    name: str
    spawn: ChildSpec | None = None
    label: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unwatch:
    """Stop watching the socket ``name``. Idempotent."""

    name: str


@dataclass(frozen=True, slots=True)
class Forward:
    """Accept at ``socket`` and hand each connection on to the port of ``child``; null: no more."""

    socket: str
    child: str | None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Send ``answer`` to every connection that waits at ``socket`` now; answers how many."""

    socket: str
    answer: str


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a child; answers its pid. While one of this name runs, answers that one's pid."""

    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class Signal:
    """Send a signal to a running child, or to its whole process group.

    ``cause`` is why, if it is to end by that: it is told as the cause of its end, and in its log.
    """

    name: str
    signal: str
    group: bool = True
    cause: str = ""

    def __post_init__(self) -> None:
        signal_number(self.signal)


@dataclass(frozen=True, slots=True)
class Freeze:
    """Freeze a child that nobody is connected to; a connection at ``socket`` thaws it.

    Answers false, and it runs on, when it has a connection or that cannot be known. While it is
    frozen, at most ``queue`` connections may wait there.
    """

    name: str
    socket: str
    queue: int = BACKLOG

    def __post_init__(self) -> None:
        _check_backlog(self.queue)


@dataclass(frozen=True, slots=True)
class Thaw:
    """Let a frozen child run on. Idempotent."""

    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask a child to stop, kill its session after ``grace`` seconds, never start it again.

    Answers at once: true when an ``Exited`` will follow, false when it was not running. With
    ``frozen``, only a child that is frozen at this moment is stopped.
    """

    name: str
    grace: float = 10.0
    frozen: bool = False

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
    """A child runs its program. ``child`` is how it would be listed now."""

    name: str
    pid: int
    child: ChildView


@dataclass(frozen=True, slots=True)
class Exited:
    """A child has ended and its output is written: ``code``, or the name of the ``signal``.

    ``cause`` says why, where neither tells: ``out of memory (limit 512 MiB)``.
    """

    name: str
    pid: int
    code: int | None
    signal: str | None
    label: Mapping[str, str]
    will_restart: bool
    cause: str = ""


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
class Frozen:
    """A running child was frozen, or thawed. (The end of a frozen one is told by ``Exited``.)"""

    name: str
    frozen: bool


@dataclass(frozen=True, slots=True)
class Woken:
    """A connection that a watch had noticed was taken ``seconds`` later by ``child``.

    ``thawed``: it was frozen; else it had to be started.
    """

    socket: str
    child: str
    seconds: float
    thawed: bool


SocketRequest = Listen | Close | Watch | Unwatch | Forward | Refuse
ChildRequest = Signal | Freeze | Thaw | Stop | Forget | Relabel
Request = SocketRequest | ChildRequest | Spawn | List | Subscribe | Shutdown
Event = Started | Exited | Pending | Notify | Frozen | Woken

REQUESTS: Final[Mapping[str, type[Request]]] = {
    kind.__name__.lower(): kind for kind in get_args(Request)
}
EVENTS: Final[Mapping[str, type[Event]]] = {kind.__name__.lower(): kind for kind in get_args(Event)}


def _check_backlog(backlog: int) -> None:
    require(1 <= backlog <= 65535, f"backlog {backlog} is not within 1..65535")


def _check_grace(grace: float) -> None:
    require(0 <= grace <= 86_400, f"grace {grace} is not within 0..86400 seconds")
