"""What a child is: everything the keeper needs to know to start it, and nothing about why."""

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field

from codestore.keeper.errors import BAD_REQUEST, KeeperError
from codestore.keeper.walls.view import View

# A name becomes a file name, so it may not be "." or ".." nor hide itself.
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")


def require(condition: bool, message: str) -> None:
    """Raise ``KeeperError(bad-request)`` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise KeeperError(BAD_REQUEST, message)


def check_name(name: str) -> None:
    """Raise ``KeeperError(bad-request)`` unless ``name`` can name a child or a socket."""
    require(
        _NAME.fullmatch(name) is not None,
        f"{name!r} is not a name: 1 to 64 of a-z 0-9 . - and a letter or digit first",
    )


def signal_number(name: str) -> signal.Signals:
    """Return the signal called ``name`` (``SIGTERM``).

    Raises ``KeeperError(bad-request)`` for an unknown one.
    """
    require(name in signal.Signals.__members__, f"{name!r} is not a signal")
    return signal.Signals[name]


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child, completely described.

    Making one raises ``KeeperError(bad-request)`` when a field is not allowed.

    - ``argv``: the command; its first word is looked up on the ``PATH`` of ``env``.
    - ``env``: the whole environment; the keeper adds ``NOTIFY_SOCKET``, ``LISTEN_*``,
      ``PORT`` (with ``port``) and ``WOKEN_AT`` (when a watch started it), no more.
    - ``cwd``: an absolute path, entered as the child's user.
    - ``sockets``: ``(fdname, listener)`` pairs, handed over from descriptor 3 on in this order.
    - ``log``: the file for its output; a relative path is below the keeper's ``--logs``;
      ``None`` discards the output.
    - ``user``: ``(uid, gid)`` to become, or ``None`` to stay what the keeper is.
    - ``restart``: start it again whenever it ends, with back-off.
    - ``stop_signal``: how it is asked to stop; ``death_signal``: what the kernel sends it when
      the keeper dies.
    - ``label``: opaque; comes back in listings and in exit events.
    - ``greeting``: of a ``port`` child: goes behind the first line that it says to the connection
      which woke it, with ``{ms}`` as the milliseconds that this took.
    - ``umask``: file mode bits taken away; ``order``: lower ends earlier at shutdown.
    - ``port``: it gets a free TCP port of 127.0.0.1, and is ready when that accepts connections.
    - ``forks``: it is a fork server; one end of a SOCK_SEQPACKET pair follows its ``sockets``.
    - ``parent``: the fork server to start it from; where that cannot be done it is executed.
    - ``secrets``: the names of variables whose values are masked in its log.
    - ``memory``, ``cpu``: bytes and cores that it and all whom it starts may use together, where
      the system lets the keeper bound them (``Listing.limits``).
    - ``file_size``: bytes that a file which it writes to may have.
    - ``view``: all that it may see; walls are around it then, as good as they can be had
      (``Listing.walls``).
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: str
    sockets: tuple[tuple[str, str], ...] = ()
    log: str | None = None
    user: tuple[int, int] | None = None
    restart: bool = False
    stop_signal: str = "SIGTERM"
    death_signal: str = "SIGKILL"
    label: Mapping[str, str] = field(default_factory=dict)
    umask: int = 0o077
    order: int = 0
    port: bool = False
    forks: bool = False
    parent: str | None = None
    greeting: str = ""
    memory: int | None = None
    cpu: float | None = None
    secrets: tuple[str, ...] = ()
    file_size: int | None = None
    view: View | None = None

    @property
    def bounded(self) -> bool:
        """Whether it may not use all there is."""
        return self.memory is not None or self.cpu is not None

    def __post_init__(self) -> None:
        check_name(self.name)
        require(bool(self.argv and self.argv[0]), "argv names no program")
        require(self.cwd.startswith("/"), f"cwd {self.cwd!r} is not an absolute path")
        require(self.log != "", "log is an empty path; use null to discard the output")
        require(0 <= self.umask <= 0o777, f"umask {self.umask:#o} is not within 0..0o777")
        require(min(self.user or (0, 0)) >= 0, f"user {self.user} is negative")
        for key in self.env:
            require(bool(key) and "=" not in key, f"env has an impossible name: {key!r}")
        if self.view is not None:
            _check_view(self.view)
        for text in (*self.argv, *self.env, *self.env.values(), self.cwd, self.log or ""):
            require("\0" not in text, "argv, env, cwd and log may not hold a NUL character")
        for fdname, listener in self.sockets:
            check_name(fdname)
            check_name(listener)
        if self.parent is not None:
            check_name(self.parent)
        require(self.memory is None or self.memory > 0, f"memory {self.memory} is not positive")
        require(self.cpu is None or self.cpu > 0, f"cpu {self.cpu} is not positive")
        require(self.file_size is None or self.file_size >= 0, "file_size is negative")
        signal_number(self.stop_signal)
        signal_number(self.death_signal)


def _check_view(view: View) -> None:
    check_name(view.name)
    for path in (*view.read, *view.write, view.home):
        plain = path.startswith("/") and "\0" not in path and ".." not in path.split("/")
        require(plain, f"view: {path!r} is not an absolute path")
