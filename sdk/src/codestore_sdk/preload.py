"""A service's libraries, loaded and ready to be forked: `python -m codestore_sdk.preload IMPORTS`.

Most of a service's start is importing libraries. This process, a *parent*, has imported those in
the file IMPORTS (see `imports`) and nothing of the service itself: it listens nowhere, is
connected to nothing and has one thread. Told to (see `packets`), it forks a process that takes
over an environment, a folder and sockets (see `become`) and is then the service in all respects
(see `serve`).

What all forks of one parent share, and a plain start would make anew: the seed of hashes; what the
interpreter reads at its start (PYTHONPATH, PYTHONWARNINGS, the locale); what libraries computed
when they were imported, from the parent's environment, folder, clock and dice. `random` seeds
itself anew in each fork; a library's own generator may not. IMPORTS belongs to one artifact, so
nobody's libraries meet somebody else's code.

Environment: LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES with one socket, `forks` (SOCK_SEQPACKET);
NOTIFY_SOCKET, told READY=1 when it can be forked. Exit codes: 0 `forks` was closed, or SIGTERM;
1 could not start; 2 wrong usage; 3 these libraries cannot be forked. A fork has those of `serve`.
"""

import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codestore_sdk import serve
from codestore_sdk.engine import Engine
from codestore_sdk.errors import StartError
from codestore_sdk.fitness import open_descriptors, why_unfit
from codestore_sdk.fork import fork
from codestore_sdk.imports import import_all, read_imports
from codestore_sdk.notify import Notifier
from codestore_sdk.packets import Order, Packet, receive
from codestore_sdk.sockets import handed_over
from codestore_sdk.waking import Wake

USAGE = "usage: python -m codestore_sdk.preload IMPORTS"
FORKS = "forks"
UNFIT = 3


def main(arguments: Sequence[str]) -> int:
    """Load what `arguments` name and fork until told to leave; in a fork, serve. Returns twice."""
    # What is garbage now leaves holes that forks write to: a copy of the page for each.
    gc.disable()
    signal.signal(signal.SIGTERM, _leave)
    serve.write_lines_at_once()
    # What lies in the folder we were started in is no library.
    sys.path[:] = [entry for entry in sys.path if entry not in ("", str(Path.cwd()))]
    if len(arguments) != 1:
        print(USAGE, file=sys.stderr)
        return 2
    before = open_descriptors()
    try:
        notifier = Notifier(os.environ)
        forks = _forks()
        _load(read_imports(Path(arguments[0])))
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, _leave)  # a library may have had other plans
    if unfit := why_unfit(before):
        return _refuse(unfit, notifier)
    gc.collect()
    gc.freeze()
    notifier.send("READY=1", "STATUS=loaded")
    order = _wait_for_order(forks)
    if order is None:
        return 0
    sys.orig_argv, sys.argv = order.argv, [str(serve.__file__), *order.argv[3:]]
    return serve.main(order.argv[3:])


def _forks() -> socket.socket:
    found = handed_over(os.environ)
    if FORKS not in found:
        raise StartError(f"no socket named {FORKS} was handed over", "it comes from the keeper")
    return found[FORKS]


def _load(names: Sequence[str]) -> None:
    """Import what a service and its server need, and make what does not depend on the service."""
    failed = import_all(names)
    if failed:
        print(f"could not be imported: {', '.join(failed)}", file=sys.stderr)
    # Finds and imports the server's protocols. That for WebSockets is listed where it is used.
    Engine(_no_application, Wake({}), trust_proxy=True, websockets=False)


async def _no_application(_scope: Any, _receive: Any, _send: Any) -> None:
    """Stand in for the application that each fork loads for itself."""


def _refuse(unfit: str, notifier: Notifier) -> int:
    names = ", ".join(thread.name for thread in threading.enumerate())
    print(f"cannot be forked: {unfit} (threads: {names})", file=sys.stderr)
    notifier.send(f"STATUS=cannot be forked: {unfit}")
    return UNFIT


def _wait_for_order(forks: socket.socket) -> Order | None:
    """Fork what is ordered until nobody can order any more; in a fork, return its order."""
    while packet := receive(forks):
        if (order := _understood(packet)) and fork(order):
            forks.detach()  # its number is that of a listener now, which would be closed with it
            return order
        packet.close()
    return None


def _understood(packet: Packet) -> Order | None:
    try:
        return packet.order()
    except ValueError as error:
        print(f"a packet is malformed: {error}", file=sys.stderr)
        return None


def _leave(_number: int, _frame: Any) -> None:
    """End at once: as an exception it could be swallowed by a library that is being imported."""
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
