"""The listening sockets the keeper holds, and who is to be told when a connection waits there.

Children that inherited a socket accept from it. While none does, connections wait in the kernel's
queue: a one-shot watch tells when the first one arrives, a sleeper is thawed by it, and an
acceptor takes it on behalf of a child that cannot inherit.
"""

import asyncio
import os
import select
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from codestore.keeper.errors import NOT_FOUND, KeeperError
from codestore.keeper.protocol.messages import BACKLOG, Event, Pending, SocketView
from codestore.keeper.rundir import check_path

FEW: Final = 100  # sockets that are quick to delete

Noticed = Callable[[float], bool]
"""Called with the Unix time at which a connection was noticed; tells whether it wakes somebody."""


def wake_nobody(noticed: float) -> bool:
    """Do nothing: for a watch that only tells."""
    return False


@dataclass(frozen=True, slots=True)
class Watching:
    """A one-shot watch: its opaque label, and what to do beside telling."""

    label: Mapping[str, str] = field(default_factory=dict)
    fired: Noticed = wake_nobody


@dataclass(slots=True)
class Listener:
    """One held socket. ``sleepers`` are the children frozen until a connection waits here."""

    path: Path
    socket: socket.socket
    watch: Watching | None = None
    sleepers: dict[str, Noticed] = field(default_factory=dict)
    acceptor: Callable[[], None] | None = None
    followed: bool = False

    def view(self, name: str, waiting: bool) -> SocketView:
        """Return it as listed."""
        label = self.watch.label if self.watch else {}
        if self.sleepers:
            label = {"thaws": " ".join(self.sleepers)}
        watched = bool(self.watch or self.sleepers)
        return SocketView(name, str(self.path), watched, label, waiting)


class Listeners:
    """Holds sockets below ``folder``; ``publish`` hears who waits at watched ones."""

    def __init__(self, folder: Path, publish: Callable[[Event], None]) -> None:
        self._folder = folder
        self._publish = publish
        self._held: dict[str, Listener] = {}

    def listen(self, name: str, backlog: int) -> str:
        """Hold the socket ``name`` (mode 0600) and return its path. Idempotent by name.

        Of one that is held it sets the backlog. Raises ``KeeperError(too-long)``, or ``OSError``.
        """
        if name not in self._held:
            path = check_path(self._folder / name)
            self._held[name] = Listener(path, bind(path, socket.SOCK_STREAM, 0o600))
        self._held[name].socket.listen(backlog)
        return str(self._held[name].path)

    def provide(self, name: str) -> None:
        """Hold the socket ``name`` unless it is held. Raises as ``listen``."""
        if name not in self._held:
            self.listen(name, BACKLOG)

    def let_wait(self, name: str, most: int) -> None:
        """Set how many connections may wait; more are refused. Ignores an unknown socket."""
        listener = self._held.get(name)
        if listener:
            listener.socket.listen(most)

    def close(self, name: str) -> None:
        """Close and unlink. Idempotent. Children that inherited the socket keep it."""
        if name in self._held:
            self.unwatch(name)
            self.accept_with(name, None)
            listener = self._held.pop(name)
            listener.path.unlink(missing_ok=True)
            listener.socket.close()

    def close_all(self) -> None:
        """Close every socket, and unlink it unless there are many: see ``RunDir.remove_stale``."""
        few = len(self._held) <= FEW
        for name, listener in self._held.items():
            listener.watch, listener.acceptor = None, None
            listener.sleepers.clear()
            self._follow(name, listener)
            listener.socket.close()
            if few:
                listener.path.unlink(missing_ok=True)
        self._held.clear()

    def watch(self, name: str, watching: Watching) -> None:
        """Publish ``Pending`` once when a connection waits, at once when one does already.

        Replaces a former watch, and the sleepers. Raises ``KeeperError(not-found)``.
        """
        listener = self._find(name)
        listener.sleepers.clear()
        listener.watch = watching
        self._follow(name, listener)

    def unwatch(self, name: str) -> None:
        """Stop watching. Idempotent. Raises ``KeeperError(not-found)``."""
        listener = self._find(name)
        listener.sleepers.clear()
        listener.watch = None
        self._follow(name, listener)

    def sleep(self, name: str, child: str, fired: Noticed) -> None:
        """Call ``fired`` once for this child when a connection waits.

        Several children may sleep here. Raises ``KeeperError(not-found)``.
        """
        listener = self._find(name)
        listener.sleepers[child] = fired
        self._follow(name, listener)

    def sleep_alone(self, name: str) -> None:
        """Only the sleepers are woken from now on: drop the watch. Ignores an unknown socket."""
        listener = self._held.get(name)
        if listener:
            listener.watch = None

    def wake(self, name: str, child: str) -> None:
        """Forget that this child sleeps here. Idempotent."""
        listener = self._held.get(name)
        if listener and listener.sleepers.pop(child, None):
            self._follow(name, listener)

    def accept_with(self, name: str, acceptor: Callable[[], None] | None) -> None:
        """Call ``acceptor`` whenever a connection waits, or nobody. Ignores an unknown socket."""
        listener = self._held.get(name)
        if listener:
            listener.acceptor = acceptor
            self._follow(name, listener)

    def accept(self, name: str, most: int) -> list[socket.socket]:
        """Take up to ``most`` waiting connections. Raises ``KeeperError(not-found)``, ``OSError``.

        The socket's blocking mode belongs to the children that inherited it (they share it), so
        it is changed for this moment only.
        """
        held = self._find(name).socket
        taken: list[socket.socket] = []
        before = os.get_blocking(held.fileno())
        os.set_blocking(held.fileno(), False)
        try:
            while len(taken) < most:
                connection, _ = held.accept()
                connection.setblocking(False)
                taken.append(connection)
        except (BlockingIOError, ConnectionAbortedError):
            pass
        except OSError:  # no descriptor left: those already taken are not lost
            if not taken:
                raise
        finally:
            os.set_blocking(held.fileno(), before)
        return taken

    def waiting(self, name: str) -> bool:
        """Tell whether a connection waits now; none does at an unknown socket."""
        listener = self._held.get(name)
        return listener is not None and bool(_readable([listener.socket.fileno()]))

    def holds(self, name: str) -> bool:
        """Tell whether there is such a socket."""
        return name in self._held

    def path(self, name: str) -> Path:
        """Return where the socket is. Raises ``KeeperError(not-found)``."""
        return self._find(name).path

    def descriptors(self, names: Iterable[str]) -> list[int]:
        """Return the descriptors of these sockets. Raises ``KeeperError(not-found)``."""
        return [self._find(name).socket.fileno() for name in names]

    def views(self) -> tuple[SocketView, ...]:
        """List the sockets by name."""
        waiting = _readable([each.socket.fileno() for each in self._held.values()])
        return tuple(
            each.view(name, each.socket.fileno() in waiting)
            for name, each in sorted(self._held.items())
        )

    def _find(self, name: str) -> Listener:
        if name not in self._held:
            raise KeeperError(NOT_FOUND, f"no socket {name!r}")
        return self._held[name]

    def _follow(self, name: str, listener: Listener) -> None:
        """Have the loop call us exactly while somebody wants to know."""
        wanted = bool(listener.watch or listener.sleepers or listener.acceptor)
        loop = asyncio.get_running_loop()
        if wanted and not listener.followed:
            loop.add_reader(listener.socket.fileno(), self._arrived, name, listener)
        elif listener.followed and not wanted:
            loop.remove_reader(listener.socket.fileno())
        listener.followed = wanted

    def _arrived(self, name: str, listener: Listener) -> None:
        noticed = time.time()
        watch, sleepers = listener.watch, listener.sleepers
        if watch or sleepers:
            listener.watch, listener.sleepers = None, {}
            # Before anything else: somebody waits for them.
            thawed = [thaw(noticed) for thaw in sleepers.values()]
            self._follow(name, listener)
            if watch:
                watch.fired(noticed)
            if watch or any(thawed):
                self._publish(Pending(name))
        if listener.acceptor:
            listener.acceptor()


def _readable(descriptors: Iterable[int]) -> set[int]:
    poll = select.poll()
    for each in descriptors:
        poll.register(each, select.POLLIN)
    return {each for each, _ in poll.poll(0)}


def bind(path: Path, kind: socket.SocketKind, mode: int) -> socket.socket:
    """Make a Unix socket of this kind at ``path`` with this file mode. Raises ``OSError``.

    The keeper's umask is 0o077, so nobody can slip in before the mode is set.
    """
    made = socket.socket(socket.AF_UNIX, kind)
    try:
        made.bind(str(path))
        path.chmod(mode)
    except OSError:
        made.close()
        raise
    return made
