"""Forks a service off a parent so that it is nobody's child but the keeper's.

The parent forks a process that forks the service and ends at once: the orphan falls to the nearest
subreaper above, which is the keeper. It is told when that has happened, as it ties its life to
whoever is above it then. The one in between is in the service's control groups, so the service is
inside from the first.
"""

import os
import signal
import sys

from codestore_sdk.become import become
from codestore_sdk.confine import fork_inside
from codestore_sdk.packets import Groups, Order


def fork(order: Order) -> bool:
    """Fork `order`. Returns twice: False in the parent, forked or not, and True in the service."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # what is in a buffer now would be written twice
    try:
        wait, go = os.pipe()
    except OSError as error:
        return _cannot(error)
    # The service must not meet a signal before it has put away the parent's handlers.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    if _fork_twice(order.groups):
        os.close(go)
        become(order, wait)
        return True
    os.write(go, b"\n")
    os.close(go)
    os.close(wait)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return False


def _fork_twice(groups: Groups) -> bool:
    """Tell whether this is the grandchild; in the parent its own child has been reaped then.

    Nothing is told when there is no process left: whoever ordered it sees its gate close.
    """
    try:
        between = fork_inside(groups)
    except OSError as error:
        return _cannot(error)
    if between:
        os.waitpid(between, 0)
        return False
    try:
        grandchild = os.fork()
    except OSError:
        os._exit(1)
    if grandchild:
        os._exit(0)
    return True


def _cannot(error: OSError) -> bool:
    print(f"cannot fork: {error.strerror}", file=sys.stderr)
    return False
