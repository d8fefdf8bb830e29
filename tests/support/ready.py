"""``cs`` without its start: a process that has imported it (``forks``) forks for each command.

A command is a process as a shell would start it, with a folder, an environment, input, output and
an end of its own. What it is spared is the import, a fifth of a second, hundreds of times.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

_ROOT = Path(__file__).parents[2]


class Ready:
    """Runs commands, side by side if asked to; ``close`` it."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forks", str(number)],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[number],
            )

    def close(self) -> None:
        self._requests.close()
        self._server.wait(10)

    def run(
        self,
        words: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        typed: str,
        timeout: float,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command as :func:`subprocess.run` does."""
        with ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            ours, theirs = map(stack.enter_context, socket.socketpair())
            files[0].write(typed.encode())
            files[0].seek(0)
            message = json.dumps([list(words), str(folder), dict(environment)]).encode()
            numbers = [*(each.fileno() for each in files), theirs.fileno()]
            socket.send_fds(self._requests, [message], numbers)
            theirs.close()
            code = _ended(ours, ["cs", *words], timeout)
            said = [_text(each.fileno()) for each in files[1:]]
        return subprocess.CompletedProcess(["cs", *words], code, *said)


def _ended(line: socket.socket, command: list[str], timeout: float) -> int:
    """Wait for the exit code of a command, which begins by telling its process id."""
    with line.makefile("r") as told:
        pid = int(told.readline())
        line.settimeout(timeout)
        try:
            return int(told.readline())
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(command, timeout) from None


def _text(number: int) -> str:
    return os.pread(number, os.fstat(number).st_size, 0).decode()
