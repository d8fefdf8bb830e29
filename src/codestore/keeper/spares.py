"""A spare: a process that was forked before anybody came, and waits to be told what to become.

A fork of the keeper costs a millisecond and a half when it comes out of the blue, which is what a
wake does. There is one spare at a time; the next is made when the wake is over.
"""

import array
import asyncio
import logging
import os
import pickle
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from codestore.keeper import become, processes
from codestore.keeper.dialling import free_port
from codestore.keeper.errors import KeeperError
from codestore.keeper.limiting import Bounds, Limiter
from codestore.keeper.spec import ChildSpec
from codestore.keeper.walls import cell
from codestore.keeper.walls.cell import Cell
from codestore.keeper.walls.picking import NO_WALLS, Walls

_log = logging.getLogger(__name__)

REFILL: Final = 0.5
"""Seconds after which a spare that was used is replaced."""
_LONGEST: Final = 180 * 1024  # bytes of an order; the kernel takes little more in one packet
_MOST: Final = 64  # descriptors of an order
_FIRST: Final = 3


@dataclass(slots=True)
class Spare:
    """A forked process that waits for an order. It is inside its bounds, which are wide still."""

    pid: int
    channel: socket.socket
    bounds: Bounds | None
    cell: Cell | None = None
    """Where it is: the general part is built, it needs a view."""

    def become(self, spec: ChildSpec, handover: become.Handover) -> bool:
        """Have it become ``spec``; tell whether it can."""
        descriptors = [handover.gate, *handover.outputs, *handover.listeners]
        words = (spec, handover.keeper, handover.notify, len(handover.outputs), handover.walls)
        order = pickle.dumps(words)
        with self.channel:
            if len(order) > _LONGEST or len(descriptors) > _MOST:
                return False
            try:
                socket.send_fds(self.channel, [order], descriptors, socket.MSG_DONTWAIT)
            except OSError:  # it has died
                return False
        return True


class Spares:
    """Has a spare at hand, most of the time."""

    def __init__(self, limiter: Limiter, walls: Walls = NO_WALLS) -> None:
        self._limiter = limiter
        self._walls = walls
        self._spare: Spare | None = None
        self._refill: asyncio.TimerHandle | None = None
        self._report: socket.socket | None = None

    def suit(self, spec: ChildSpec) -> bool:
        """Whether a spare can become this: one in a cell is for whoever has a view."""
        if self._walls.site is None:
            return True
        return spec.view is not None and not spec.view.hosts_network

    def refill(self) -> None:
        """Make a spare unless there is one. Raises nothing: without one, a start is as before."""
        self._refill = None
        if self._spare is not None or self._report is not None:
            return
        bounds = self._limiter.spare()
        try:
            self._make(bounds)
        except (OSError, KeeperError) as failure:
            if bounds:
                bounds.release()
            _log.debug("there is no spare: %s", failure)

    def _make(self, bounds: Bounds | None) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # For nobody yet: it may become who has a port.
        port = free_port() if self._walls.site and self._walls.site.network else 0
        report, written = socket.socketpair()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            keeper = os.getpid()
            pid = os.fork()
            if pid == 0:
                if self._walls.site:
                    cell.split(self._walls.site, keeper, written, port)
                _wait(theirs, keeper, bounds.enter if bounds else (), self._walls)
        except OSError:
            ours.close()
            report.close()
            raise
        finally:
            theirs.close()
            written.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if self._walls.site is None:
            report.close()
            self._spare = Spare(pid, ours, bounds)
            return
        self._report = report
        asyncio.get_running_loop().add_reader(report, self._made, report, ours, bounds, port)

    def _made(
        self, report: socket.socket, channel: socket.socket, bounds: Bounds | None, port: int
    ) -> None:
        """A spare is in its cell, or could not get there."""
        self._report = None
        asyncio.get_running_loop().remove_reader(report)
        try:
            pid, made = cell.split_off(report, port)
            self._spare = Spare(pid, channel, bounds, made)
        except OSError as failure:
            channel.close()
            if bounds:
                bounds.release()
            _log.warning("there is no spare: %s", failure)
        finally:
            report.close()

    def take(self) -> Spare | None:
        """Return the spare, to whom it belongs from then on; the next is made in a while."""
        spare, self._spare = self._spare, None
        if spare:
            loop = asyncio.get_running_loop()
            self._refill = loop.call_later(REFILL, self.refill)
        return spare

    def close(self) -> None:
        """Let the spare go."""
        if self._refill:
            self._refill.cancel()
        if self._report is not None:
            asyncio.get_running_loop().remove_reader(self._report)
            self._report.close()
            self._report = None
        if self._spare:
            self._spare.channel.close()
            if self._spare.cell:
                self._spare.cell.leave()
            if self._spare.bounds:
                self._spare.bounds.release()
            self._spare = None


def _wait(channel: socket.socket, keeper: int, enter: tuple[str, ...], walls: Walls) -> NoReturn:
    """Be the spare: hold nothing of the keeper's but the channel, and wait for an order.

    It enters its bounds and builds its cell now: that may take long, and nobody waits yet.
    """
    try:
        signal.set_wakeup_fd(-1)
        processes.die_with_parent(signal.SIGKILL)
        if os.getppid() not in (keeper, 0):
            os._exit(0)
        become.enter_groups(enter)
        if walls.site:
            walls.prepare()
        own = channel.detach()
        os.dup2(own, _FIRST)
        os.closerange(_FIRST + 1, os.sysconf("SC_OPEN_MAX"))
        inherited = socket.socket(fileno=_FIRST)
        order, descriptors, _, _ = socket.recv_fds(inherited, _LONGEST, _MOST)
        if not order:  # the keeper has no use for it any more
            os._exit(0)
        become.become(*_understood(order, descriptors))
    finally:
        os._exit(1)


def _understood(order: bytes, descriptors: Sequence[int]) -> tuple[ChildSpec, become.Handover]:
    words = pickle.loads(order)  # noqa: S301 - the keeper's own words
    spec, keeper, notify, outputs, walls = words
    gate, *rest = array.array("i", descriptors)
    handover = become.Handover(
        keeper=keeper,
        notify=notify,
        listeners=tuple(rest[outputs:]),
        outputs=tuple(rest[:outputs]),
        gate=gate,
        walls=walls,
        prepared=walls.site is not None,
    )
    return spec, handover
