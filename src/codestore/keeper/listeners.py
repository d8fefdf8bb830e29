"""The listening sockets the keeper holds, and the one-shot watches on them.

The keeper never accepts: children that inherited a socket do. While none does, connections wait
in the kernel's queue, and a watch tells when the first one arrives.
"""

import asyncio
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from codestore.keeper.errors import NOT_FOUND, TOO_LONG, KeeperError
from codestore.keeper.protocol import Event, Pending, SocketView

LONGEST_PATH: Final = 107
"""Bytes in a Unix socket's path, at most; the kernel's limit."""


def check_path(path: Path) -> Path:
    """Return ``path``. Raises ``KeeperError(too-long)`` when no Unix socket can have it."""
    size = len(bytes(path))
    if size > LONGEST_PATH:
        why = f"{path} has {size} bytes, a socket's path at most {LONGEST_PATH}"
        raise KeeperError(TOO_LONG, f"{why}: use a shorter run folder")
    return path


@dataclass(slots=True)
class Listener:
    """One held socket."""

    path: Path
    socket: socket.socket
    watched: bool = False


class Listeners:
    """Holds sockets below ``folder``; ``publish`` hears who waits at watched ones."""

    def __init__(self, folder: Path, publish: Callable[[Event], None]) -> None:
        self._folder = folder
        self._publish = publish
        self._held: dict[str, Listener] = {}

    def listen(self, name: str, backlog: int) -> str:
        """Hold the socket ``name`` (mode 0600) and return its path. Idempotent by name.

        Raises ``KeeperError(too-long)``, or ``OSError``.
        """
        if name not in self._held:
            path = check_path(self._folder / name)
            self._held[name] = Listener(path, bind(path, socket.SOCK_STREAM, 0o600))
            self._held[name].socket.listen(backlog)
        return str(self._held[name].path)

    def close(self, name: str) -> None:
        """Close and unlink. Idempotent. Children that inherited the socket keep it."""
        if name in self._held:
            self.unwatch(name)
            listener = self._held.pop(name)
            listener.path.unlink(missing_ok=True)
            listener.socket.close()

    def close_all(self) -> None:
        """Close and unlink every socket."""
        for name in tuple(self._held):
            self.close(name)

    def watch(self, name: str) -> None:
        """Publish ``Pending`` once when a connection waits, at once when one does already.

        Raises ``KeeperError(not-found)``.
        """
        listener = self._find(name)
        if not listener.watched:
            loop = asyncio.get_running_loop()
            loop.add_reader(listener.socket.fileno(), self._pending, name)
            listener.watched = True

    def unwatch(self, name: str) -> None:
        """Stop watching. Raises ``KeeperError(not-found)``."""
        listener = self._find(name)
        if listener.watched:
            asyncio.get_running_loop().remove_reader(listener.socket.fileno())
            listener.watched = False

    def descriptors(self, names: Iterable[str]) -> list[int]:
        """Return the descriptors of these sockets. Raises ``KeeperError(not-found)``."""
        return [self._find(name).socket.fileno() for name in names]

    def views(self) -> tuple[SocketView, ...]:
        """List the sockets by name."""
        return tuple(
            SocketView(name, str(each.path), each.watched)
            for name, each in sorted(self._held.items())
        )

    def _find(self, name: str) -> Listener:
        if name not in self._held:
            raise KeeperError(NOT_FOUND, f"no socket {name!r}")
        return self._held[name]

    def _pending(self, name: str) -> None:
        self.unwatch(name)
        self._publish(Pending(name))


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
