"""The sd_notify socket: how a child says that it is ready.

A child sends ``READY=1`` and ``STATUS=some text``, one a line, in a datagram to ``NOTIFY_SOCKET``.
The kernel attaches the sender's pid, so nobody can speak for another child.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from codestore.keeper.sockets.listeners import bind

_LONGEST: Final = 4096
_BURST: Final = 32  # datagrams read before everybody else gets a turn
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid

Heard = Callable[[int, Mapping[str, str]], None]


class NotifySocket:
    """Listens at ``path`` and passes on each message as the sender's pid and its variables."""

    def __init__(self, path: Path, mode: int, heard: Heard) -> None:
        self._path = path
        self._heard = heard
        self._socket = bind(path, socket.SOCK_DGRAM, mode)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)

    @property
    def path(self) -> str:
        """What children get as ``NOTIFY_SOCKET``."""
        return str(self._path)

    def close(self) -> None:
        """Close and unlink."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._path.unlink(missing_ok=True)
        self._socket.close()

    def _readable(self) -> None:
        for _ in range(_BURST):
            try:
                message = self._socket.recvmsg(_LONGEST, socket.CMSG_SPACE(_CREDENTIALS.size))
            except BlockingIOError:
                return
            data, ancillary, *_ = message
            for level, kind, payload in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    pid, _, _ = _CREDENTIALS.unpack(payload)
                    self._heard(pid, _variables(data))


def _variables(data: bytes) -> dict[str, str]:
    lines = data.decode(errors="replace").splitlines()
    return {key: value for key, sep, value in (line.partition("=") for line in lines) if sep}
