"""What the keeper holds, as it is listed and as events carry it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ChildView:
    """A child as listed. ``started_at`` is in Unix seconds.

    ``code`` or ``signal`` tells how the last run ended, and is null while it runs. ``port`` is 0
    unless it was given one; ``forked`` says that its parent forked it, instead of an exec;
    ``stopping`` that it was asked to end; ``cause`` why it has ended, where neither tells.
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
    port: int = 0
    frozen: bool = False
    forked: bool = False
    stopping: bool = False
    cause: str = ""


@dataclass(frozen=True, slots=True)
class SocketView:
    """A held socket as listed: ``label`` is that of its watch, ``waiting`` a connection's now."""

    name: str
    path: str
    watched: bool
    label: Mapping[str, str] = field(default_factory=dict)
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """All that the keeper holds, by name; ``freezer`` is ``cgroup`` or ``signal``.

    ``limiter`` is ``cgroup v1``, ``cgroup v2`` or ``none``, and ``limits`` what it can bound of a
    child: ``memory``, ``cpu``. ``walls`` is what holds children inside: ``cell``, ``landlock`` or
    ``none``, and ``breach`` why it is not a cell. ``exposed`` says why children in cells have no
    network of their own, and is empty when they have.
    """

    children: tuple[ChildView, ...]
    sockets: tuple[SocketView, ...]
    freezer: str = "signal"
    limiter: str = "none"
    limits: tuple[str, ...] = ()
    walls: str = "none"
    breach: str = ""
    exposed: str = ""
