"""The listening sockets a service is started with.

They come as in systemd's socket activation: `LISTEN_PID` names the process they are meant for,
`LISTEN_FDS` counts them, `LISTEN_FDNAMES` names them in order, and the first has descriptor 3.
A service started by hand has none of that and binds a port of its own.
"""

import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass

from codestore_sdk.errors import StartError

FIRST_DESCRIPTOR = 3
PRIVATE, SHARED = "private", "shared"


@dataclass(frozen=True, slots=True)
class Listeners:
    """`private` reaches this instance alone; `shared` is accepted from by its siblings too.

    `shared` is None for a service started by hand: its one socket is all there is.
    """

    private: socket.socket
    shared: socket.socket | None = None


def listeners(environ: MutableMapping[str, str]) -> Listeners:
    """Take over the sockets that were handed to this process, or bind 127.0.0.1:$PORT.

    Raises StartError when a socket is missing or the port cannot be bound.
    """
    found = handed_over(environ)
    if not found:
        return Listeners(private=_bind(environ.get("PORT", "8000")))
    missing = [name for name in (PRIVATE, SHARED) if name not in found]
    if missing:
        names = ":".join(found)
        raise StartError(
            f"no socket named {' or '.join(missing)} was handed over (LISTEN_FDNAMES={names!r})",
            "leave LISTEN_FDS unset to serve on 127.0.0.1:$PORT",
        )
    return Listeners(private=found[PRIVATE], shared=found[SHARED])


def handed_over(environ: MutableMapping[str, str]) -> dict[str, socket.socket]:
    """Take over the sockets that were handed to this process, by their names.

    The variables are removed: a child must not take the sockets for its own. Raises StartError
    when a descriptor is no socket.
    """
    names = environ.pop("LISTEN_FDNAMES", "")
    count = environ.pop("LISTEN_FDS", "")
    owner = environ.pop("LISTEN_PID", "")
    if not count or owner != str(os.getpid()):
        return {}
    return dict(zip(names.split(":"), _inherit(int(count)), strict=False))


def _inherit(count: int) -> list[socket.socket]:
    """Own the descriptors from 3 on; they are not passed on to children."""
    inherited = []
    for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + count):
        try:
            inherited.append(socket.socket(fileno=descriptor))
        except OSError as error:
            raise StartError(f"descriptor {descriptor} is not a socket: {error.strerror}") from None
        os.set_inheritable(descriptor, False)
    return inherited


def _bind(port: str) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", int(port)))
    except (OSError, ValueError, OverflowError) as error:
        raise StartError(
            f"cannot listen on 127.0.0.1:{port}: {error}", "set PORT to a free port"
        ) from None
