"""The commands of ``ready``.

    python -m tests.support.forks DESCRIPTOR

serves those that come over a socket, until nobody holds its other end.
"""

import gc
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence

from codestore.cli.loading import load
from codestore.cli.main import main

_LAZY = ("forms.yaml", "ignore")
_LONGEST = 1 << 17  # bytes of a command with its environment


def serve(requests: socket.socket) -> None:
    """Fork for each command. Returns in the process of a command, and when nobody asks any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for module in _LAZY:
        load(module)
    gc.freeze()  # or each command, as it ends, looks through all of it: a copy of every page
    while True:
        message, files, _, _ = socket.recv_fds(requests, _LONGEST, 4)
        if not message:
            sys.exit()
        if os.fork() == 0:
            requests.close()
            return attend(message, files)
        for each in files:
            os.close(each)


def attend(message: bytes, files: Sequence[int]) -> None:
    """Run a command in a child, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    words, folder, environment = json.loads(message)
    *streams, line = files
    pid = os.fork()
    if pid:
        os.write(line, b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        os.write(line, b"%d\n" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    for number, each in enumerate(streams):
        os.dup2(each, number)
        os.close(each)
    os.close(line)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    main(words)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
