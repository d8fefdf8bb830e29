"""From a copy of the parent to a service: what is done in the forked process before it runs.

Nothing is imported here, and nothing is left of the parent but its memory: not its descriptors,
its environment, its folder, its signal handlers.
"""

import ctypes
import fcntl
import gc
import os
import signal
import socket
import sys
import time
from typing import NoReturn

from codestore_sdk.imports import hidden_by
from codestore_sdk.packets import Order
from codestore_sdk.sockets import FIRST_DESCRIPTOR

# How long the keeper may take to note a new process before that gives up, in seconds.
PATIENCE = 30.0
# The exit code of a process that never began, as shells have it.
NOT_STARTED = 127

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def become(order: Order) -> None:
    """Make this process what `order` says, and return when the keeper lets it run.

    All signals must be blocked. The gate gets `+`, or `-` with the reason why this process ends
    instead.
    """
    gate = order.gate
    doing = "starting a session"
    try:
        os.setsid()
        doing = "handing over descriptors"
        gate = _arrange(order)
        doing = f"entering {order.cwd}"
        _enter(order)
        doing = "taking over its environment"
        _take_over(order)
        doing = "tying its life to the keeper's"
        _tie(order)
        _greet_signals()
    except BaseException as failure:
        reason = failure.strerror if isinstance(failure, OSError) else str(failure)
        _give_up(gate, f"-{doing}: {reason}".encode())
    _pass(gate)


def _arrange(order: Order) -> int:
    """Put every descriptor in its place and close all others; return the gate."""
    wanted = [*order.listeners, order.gate]
    free = FIRST_DESCRIPTOR + len(wanted)
    # First out of the way of each other: a descriptor may sit where another one has to go.
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    outputs = [null if output is None else output for output in order.outputs]
    aside = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, free) for each in (null, *outputs, *wanted)]
    for place, each in enumerate(aside):
        os.dup2(each, place)
    os.closerange(free, os.sysconf("SC_OPEN_MAX"))
    gate = free - 1
    os.set_inheritable(gate, False)
    return gate


def _enter(order: Order) -> None:
    os.chdir(order.cwd)
    os.umask(order.umask)
    if name := hidden_by(order.cwd):
        raise ImportError(f"the service's own {name!r} would be hidden by a library's")


def _take_over(order: Order) -> None:
    os.environ.clear()
    os.environ.update(order.env, LISTEN_PID=str(os.getpid()))
    time.tzset()
    # Read by the interpreter once, at its start; a platform's services write no bytecode.
    sys.dont_write_bytecode = bool(order.env.get("PYTHONDONTWRITEBYTECODE"))
    gc.enable()


def _tie(order: Order) -> None:
    if _libc.prctl(_PR_SET_PDEATHSIG, order.death_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    # The keeper may have ended just before: nobody would send the signal any more. Where its
    # number cannot be seen, the gate tells.
    if os.getppid() not in (order.keeper, 0):
        os._exit(NOT_STARTED)


def _greet_signals() -> None:
    """Take signals again, as Python has them at its start.

    The others are as a library set them when it was imported, which is as in a plain start.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _pass(gate: int) -> None:
    """Say that all is well and wait for the word to go on; whoever is there knows our pid."""
    try:
        with socket.socket(fileno=gate) as keeper:
            keeper.settimeout(PATIENCE)
            keeper.send(b"+")
            if keeper.recv(1):
                return
    except OSError:  # nobody there, or not in time
        pass
    os._exit(NOT_STARTED)


def _give_up(gate: int, reason: bytes) -> NoReturn:
    try:
        os.write(gate, reason[:4096])
    finally:
        os._exit(NOT_STARTED)
