"""Forks a service off a parent so that it is nobody's child but the keeper's."""

import signal
import sys

from codestore_sdk.become import become
from codestore_sdk.confine import fork_beside
from codestore_sdk.packets import Order


def fork(order: Order) -> bool:
    """Fork `order`. Returns twice: False in the parent, forked or not, and True in the service.

    Nothing is told when there is no process left: whoever ordered it sees its gate close.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # what is in a buffer now would be written twice
    # The service must not meet a signal before it has put away the parent's handlers.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = fork_beside(order.groups)
    except OSError as error:
        print(f"cannot fork: {error.strerror or error}", file=sys.stderr)
        pid = -1
    if pid == 0:
        become(order)
        return True
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return False
