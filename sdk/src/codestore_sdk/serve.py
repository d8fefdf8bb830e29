"""Runs a service: `python -m codestore_sdk.serve asgi app.main:app` or `... graphql src`.

The service's folder is the current one. Exit codes: 0 left when asked to, 1 could not start,
2 wrong usage, 128 + signal when told twice to leave.

Environment: LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES (see `sockets`), PORT when there are none;
NOTIFY_SOCKET (see `notify`); CODESTORE_DRAIN, the seconds a drain may take, 10 by default;
CODESTORE_ACCEPT=1, do not wait for the signal to accept; WOKEN_AT (see `waking`);
CODESTORE_IMPORTS, the file for the names of the libraries (see `imports`).
Signals: see `life`.
"""

import asyncio
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from codestore_sdk.engine import Engine
from codestore_sdk.errors import StartError
from codestore_sdk.imports import write, write_aside
from codestore_sdk.life import Life
from codestore_sdk.loading import load_asgi
from codestore_sdk.notify import Notifier
from codestore_sdk.sockets import listeners
from codestore_sdk.waking import Wake

try:
    import uvloop

    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
except ImportError:
    new_event_loop = asyncio.new_event_loop

USAGE = "usage: python -m codestore_sdk.serve (asgi MODULE:NAME | graphql FOLDER)"
DRAIN = "10"


def main(arguments: Sequence[str]) -> int:
    """Serve what `arguments` name until told to leave; returns the exit code."""
    write_lines_at_once()
    early = _remember_signals()
    folder = str(Path.cwd())
    sys.path[:] = [folder, *(entry for entry in sys.path if entry not in ("", folder))]
    try:
        drain = _seconds(os.environ)
        # Taken away: what is said to this process is not said to its children.
        wake, imports = Wake(os.environ), os.environ.pop("CODESTORE_IMPORTS", "")
        if os.environ.pop("CODESTORE_ACCEPT", "") == "1":
            early.insert(0, signal.SIGUSR1)
        sockets = listeners(os.environ)
        notifier = Notifier(os.environ)
        by_hand = sockets.shared is None
        load, websockets = _loader(arguments)
        engine = Engine(load(), wake, trust_proxy=not by_hand, websockets=websockets)
        if by_hand:
            host, port = sockets.private.getsockname()
            print(f"serving on http://{host}:{port}", file=sys.stderr)
        ready, leaving = (partial(each, imports, folder) for each in (write_aside, write))
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(Life(engine, sockets, notifier, ready, leaving).run(drain, early))
    except StartError as error:
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        print(error, file=sys.stderr)
        return 1
    except UsageError:
        print(USAGE, file=sys.stderr)
        return 2
    return 0


class UsageError(Exception):
    """The command line names nothing that can be served."""


def _loader(arguments: Sequence[str]) -> tuple[Callable[[], Any], bool]:
    """What makes the application, and whether it may speak WebSocket."""
    match arguments:
        case ["asgi", target]:
            return lambda: load_asgi(target), True
        case ["graphql", folder]:
            # Found by name: importing it loads Ariadne, which costs others half their start.
            # No WebSockets, as it has no subscriptions: that saves their library's import.
            return lambda: load_asgi("codestore_sdk.graphql:create_app")(Path(folder)), False
        case _:
            raise UsageError


def _seconds(environ: Mapping[str, str]) -> float:
    text = environ.get("CODESTORE_DRAIN", DRAIN)
    try:
        return float(text)
    except ValueError:
        raise StartError(f"CODESTORE_DRAIN is {text!r}, not a number of seconds") from None


def _remember_signals() -> list[int]:
    """Signals that come while the application is imported; by default they would kill."""
    early: list[int] = []
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _frame: early.append(number))
    return early


def write_lines_at_once() -> None:
    """Let logs arrive line by line: into a pipe Python would hold back whole blocks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
