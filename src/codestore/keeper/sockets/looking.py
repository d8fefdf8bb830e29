"""Whether anybody is connected, as ``/proc`` tells it. Without a ``/proc``, somebody may be.

To be called from a thread: the kernel goes through all of its tables, for milliseconds.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

_ESTABLISHED: Final = b"01"


def is_visited(paths: Iterable[Path]) -> bool:
    """Tell whether a connection waits at a listening socket's path, or was accepted from one.

    ``/proc/net/unix`` has a line for each socket bound to or accepted from a path (and the path at
    its end): one for the listener, one more for each connection as long as we hold it.
    """
    try:
        lines = Path("/proc/net/unix").read_bytes()
    except OSError:
        return True
    return any(lines.count(b" " + bytes(path) + b"\n") != 1 for path in paths)


def is_called(port: int) -> bool:
    """Tell whether a TCP connection to this local port is established."""
    wanted = f":{port:04X}".encode()
    for name in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{name}").read_bytes().splitlines()[1:]
        except OSError:
            if name == "tcp6":  # there may be no IPv6
                continue
            return True
        for line in lines:
            _, local, _, state = line.split(maxsplit=4)[:4]
            if state == _ESTABLISHED and local.endswith(wanted):
                return True
    return False
