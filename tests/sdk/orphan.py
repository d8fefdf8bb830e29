"""A forked process that has fallen to the process of the tests."""

import os
import select
import signal
from typing import IO

from house import PATIENCE


class Process:
    """A forked process with as much of Popen's manners as `Instance` asks for."""

    def __init__(self, pid: int, stdout: int) -> None:
        self.pid = pid
        self.stdout: IO[str] = os.fdopen(stdout)
        self._end = os.pidfd_open(pid)
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None and select.select([self._end], [], [], 0)[0]:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    def wait(self, timeout: float) -> int:
        select.select([self._end], [], [], timeout)
        code = self.poll()
        assert code is not None, "it has not ended in time"
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self, timeout: float = PATIENCE) -> tuple[str, None]:
        self.wait(timeout)
        return self.stdout.read(), None

    def close(self) -> None:
        self.send_signal(signal.SIGKILL)
        self.wait(PATIENCE)
        self.stdout.close()
        os.close(self._end)
