"""Who has ended, and what remains of its session."""

import asyncio
import contextlib
import os
import signal
import time

from codestore.keeper import processes


class Reaper:
    """Collects every ended child, the adopted orphans included."""

    def __init__(self) -> None:
        self._expected: dict[int, asyncio.Future[int]] = {}

    def expect(self, pid: int) -> asyncio.Future[int]:
        """Return the future exit of ``pid``: its exit code, or minus the signal's number.

        While it is not done, the pid is certain to be that child's.
        """
        ending = asyncio.get_running_loop().create_future()
        self._expected[pid] = ending
        return ending

    def reap(self) -> None:
        """Collect all who have ended and SIGKILL what is left of their sessions.

        Call it on every SIGCHLD. One look at the process table serves all who ended together,
        so a thousand exits do not mean a thousand looks.
        """
        ended: dict[int, int] = {}
        while found := _next_ended():
            pid, code = found
            if pid in self._expected:
                ended[pid] = code
        if ended:
            processes.kill_sessions(ended.keys())
        for pid, code in ended.items():
            self._expected.pop(pid).set_result(code)

    async def end_orphans(self, patience: float = 2.0) -> None:
        """SIGKILL whoever is still a child, such as an adopted daemon that left its session.

        Gives up after ``patience`` seconds: a process stuck in the kernel may not end at all.
        """
        deadline = time.monotonic() + patience
        while (orphans := processes.children_of(os.getpid())) and time.monotonic() < deadline:
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.01)
            self.reap()


def _next_ended() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, os.waitstatus_to_exitcode(status)) if pid else None
