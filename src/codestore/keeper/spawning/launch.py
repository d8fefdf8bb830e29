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

from codestore.keeper.bounds.limiting import Bounds
from codestore.keeper.errors import EXEC, KeeperError
from codestore.keeper.spawning import become
from codestore.keeper.spawning.spares import Spare
from codestore.keeper.spec import ChildSpec
from codestore.keeper.walls import cell
from codestore.keeper.walls.cell import Cell
from codestore.keeper.walls.picking import NO_WALLS, Walls


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
    channel: socket.socket | None = None
    """Where to ask it to fork, if it is a fork server."""
    cell: Cell | None = None
    port: int = 0

    def permit(self) -> bool:
        """Let it run its program if its network is there; tell whether it is."""
        if self.cell and self.cell.link and not self.cell.link.up:
            return False
        with contextlib.suppress(ConnectionError):  # it may have failed by now, and said why
            self.gate.send(b"\n")
        return True

    async def release(self, permitted: bool) -> None:
        """Return when it runs its program, which was permitted, or is when its network is there.

        Raises ``KeeperError(exec)`` with the system's reason when it cannot; it ends then.
        """
        with self.gate:
            if not permitted and self.cell and self.cell.link:
                try:
                    await self.cell.link.connected()
                except OSError as broken:
                    raise KeeperError(EXEC, f"connecting its network: {broken}") from None
                self.permit()
            try:
                # The gate closes itself at exec: an end without a word is success.
                failure = await asyncio.get_running_loop().sock_recv(self.gate, 4096)
            except ConnectionError:  # killed before its program began: its exit will tell
                return
        if failure:
            raise KeeperError(EXEC, failure.decode(errors="replace"))


def make_pipes(spec: ChildSpec) -> list[Pipe]:
    """Make the pipes for its output: two, or none when it is discarded. Raises ``OSError``."""
    made: list[Pipe] = []
    try:
        for _ in ("stdout", "stderr") if spec.log is not None else ():
            made.append(Pipe(*os.pipe()))
    except OSError:
        for pipe in made:
            os.close(pipe.read)
            os.close(pipe.write)
        raise
    return made


def launch(
    spec: ChildSpec,
    listeners: Sequence[int],
    notify: str,
    bounds: Bounds | None = None,
    spare: Spare | None = None,
    walls: Walls = NO_WALLS,
) -> Launch:
    """Fork a child that will become ``spec``, with these descriptors from 3 on; or use a spare.

    It enters its bounds before anything of its own runs; a spare has already. Raises ``OSError``
    when the system has no process or descriptor left, or no namespace for its cell.
    """
    with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
        gate = _pair(socket.SOCK_STREAM, ours, theirs)
        channel = _pair(socket.SOCK_SEQPACKET, ours, theirs) if spec.forks else None
        pipes = make_pipes(spec)
        for pipe in pipes:
            ours.callback(os.close, pipe.read)
            theirs.callback(os.close, pipe.write)
        handover = become.Handover(
            keeper=os.getpid(),
            notify=notify,
            listeners=(*listeners, *([channel[1].fileno()] if channel else [])),
            outputs=tuple(pipe.write for pipe in pipes),
            gate=gate[1].fileno(),
            enter=bounds.enter if bounds else (),
            walls=walls.for_view(spec.view),
        )
        if spare and spare.become(spec, handover):
            pid, made = spare.pid, spare.cell
        else:
            pid, made = _fork(spec, handover)
            if spare and spare.cell:  # it has died
                spare.cell.leave()
        ours.pop_all()  # they are the launched child's from now on
    outputs = tuple(pipe.read for pipe in pipes)
    return Launch(pid, gate[0], outputs, channel[0] if channel else None, made)


def _pair(
    kind: socket.SocketKind, ours: contextlib.ExitStack, theirs: contextlib.ExitStack
) -> tuple[socket.socket, socket.socket]:
    here, there = socket.socketpair(socket.AF_UNIX, kind)
    ours.enter_context(here)
    theirs.enter_context(there)
    here.setblocking(False)
    return here, there


def _fork(spec: ChildSpec, handover: become.Handover) -> tuple[int, Cell | None]:
    site = handover.walls.site if spec.view is not None else None
    # The child shares the event loop's wake-up socket until it execs. With a signal let through
    # in between, the keeper would believe that it had been sent to the keeper itself.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    port = int(spec.env["PORT"]) if spec.port else 0
    report, written = socket.socketpair()
    try:
        pid = os.fork()
        if pid == 0:
            if site:
                cell.split(site, handover.keeper, written, port)
            become.become(spec, handover)
        return cell.split_off(report, port) if site else (pid, None)
    finally:
        report.close()
        written.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
