"""Fork and exec, the parent's half. The child's half is ``become``.

By hand, because no library hands over descriptors with ``LISTEN_PID`` (known only after the fork)
and sets a death signal after dropping privileges.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from codestore.keeper import become
from codestore.keeper.errors import EXEC, KeeperError
from codestore.keeper.spec import ChildSpec


@dataclass(frozen=True, slots=True)
class Pipe:
    """The two ends of a pipe."""

    read: int
    write: int


@dataclass(frozen=True, slots=True)
class Launch:
    """A forked child that waits for permission to run its program.

    It waits so that its session can be journaled first: from its first instruction on, what it
    leaves behind will be found.
    """

    pid: int
    gate: socket.socket
    outputs: tuple[int, ...]
    """Where to read what it writes: stdout, then stderr; nothing when the output is discarded."""

    async def release(self) -> None:
        """Let it run its program, and return when it does.

        Raises ``KeeperError(exec)`` with the system's reason when it cannot; it ends then.
        """
        with self.gate:
            with contextlib.suppress(ConnectionError):  # it may have failed by now, and said why
                self.gate.send(b"\n")
            try:
                # The gate closes itself at exec: an end without a word is success.
                failure = await asyncio.get_running_loop().sock_recv(self.gate, 4096)
            except ConnectionError:  # killed before its program began: its exit will tell
                return
        if failure:
            raise KeeperError(EXEC, failure.decode(errors="replace"))


def launch(spec: ChildSpec, listeners: Sequence[int], notify: str) -> Launch:
    """Fork a child that will become ``spec``, with these descriptors from 3 on.

    Raises ``OSError`` when the system has no process or descriptor left.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    pipes: list[Pipe] = []
    try:
        if spec.log is not None:
            for _ in ("stdout", "stderr"):
                pipes.append(Pipe(*os.pipe()))
        handover = become.Handover(
            keeper=os.getpid(),
            notify=notify,
            listeners=tuple(listeners),
            outputs=tuple(pipe.write for pipe in pipes),
            gate=theirs.fileno(),
        )
        pid = _fork(spec, handover)
    except OSError:
        ours.close()
        for pipe in pipes:
            os.close(pipe.read)
        raise
    finally:
        theirs.close()
        for pipe in pipes:
            os.close(pipe.write)
    return Launch(pid, ours, tuple(pipe.read for pipe in pipes))


def _fork(spec: ChildSpec, handover: become.Handover) -> int:
    # The child shares the event loop's wake-up socket until it execs. With a signal let through
    # in between, the keeper would believe that it had been sent to the keeper itself.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            become.become(spec, handover)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
