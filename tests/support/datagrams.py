"""A socket for datagrams that has no room for another one."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ANOTHER = b"STATUS=another"


@contextmanager
def crowded(path: Path) -> Iterator[tuple[socket.socket, int]]:
    """Lend a socket at ``path`` to which ``ANOTHER`` was said until nothing more had room.

    Beside it, how often that was.
    """
    count = 0
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others,
    ):
        heard.bind(str(path))
        heard.settimeout(10)
        others.setblocking(False)
        while True:
            try:
                others.sendto(ANOTHER, str(path))
            except BlockingIOError:
                break
            count += 1
        yield heard, count
