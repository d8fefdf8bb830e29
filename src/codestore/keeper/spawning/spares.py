"""Spares: processes that were forked before anybody came, and wait to be told what to become.

A fork of the keeper costs a millisecond and a half when it comes out of the blue, which is what a
wake does; a cell with a network of its own takes some tens of them. So a few are kept in stock, the
last of which is for whoever is called. Those that were used are replaced one by one, when what was
started with them has begun.
"""

import array
import asyncio
import logging
import os
import pickle
import signal
import socket
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from codestore.keeper import processes
from codestore.keeper.bounds.limiting import Bounds, Limiter
from codestore.keeper.errors import KeeperError
from codestore.keeper.sockets.dialling import free_port
from codestore.keeper.spawning import become
from codestore.keeper.spec import ChildSpec
from codestore.keeper.walls import cell
from codestore.keeper.walls.cell import Cell
from codestore.keeper.walls.picking import NO_WALLS, Walls

_log = logging.getLogger(__name__)

REFILL: Final = 0.5
"""Seconds after which a spare that was used is replaced."""
STOCK: Final = 3
"""Spares at a time: production has two instances, and one is kept."""
KEPT: Final = 1
"""Those that are left to wakes: somebody waits there."""
_BETWEEN: Final = 0.1  # seconds from one that is made to the next
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

    @property
    def usable(self) -> bool:
        """Whether it lives, as far as is known, and so does its network."""
        lost = self.cell is not None and self.cell.link is not None and self.cell.link.lost
        return not (lost or processes.speaks(self.channel.fileno(), 0))

    def become(self, spec: ChildSpec, handover: become.Handover) -> bool:
        """Have it become ``spec``; tell whether it can."""
        descriptors = [handover.gate, *handover.outputs, *handover.listeners]
        words = (spec, handover.keeper, handover.notify, len(handover.outputs))
        order = pickle.dumps(words)
        with self.channel:
            if len(order) > _LONGEST or len(descriptors) > _MOST:
                return False
            try:
                socket.send_fds(self.channel, [order], descriptors, socket.MSG_DONTWAIT)
            except OSError:  # it has died
                return False
        return True

    def release(self) -> None:
        """Let it go: nobody has a use for it."""
        self.channel.close()
        if self.cell:
            self.cell.leave()
        if self.bounds:
            self.bounds.release()


class Spares:
    """Has ``STOCK`` spares at hand, most of the time."""

    def __init__(self, limiter: Limiter, walls: Walls = NO_WALLS) -> None:
        self._limiter = limiter
        self._walls = walls
        self._stock: deque[Spare] = deque()
        self._refill: asyncio.TimerHandle | None = None
        self._report: socket.socket | None = None

    def take(self, spec: ChildSpec, woken: bool) -> Spare | None:
        """Return a spare that can become this, to whom it belongs from then on.

        ``woken``: somebody waits for it, so it may be the last. Replaced is it in a while.
        """
        if not self._suit(spec, woken):
            return None
        self._refill_in(REFILL)
        while len(self._stock) > (0 if woken else KEPT):
            spare = self._stock.popleft()  # the oldest: its network is connected
            if spare.usable:
                return spare
            spare.release()
        return None

    def _suit(self, spec: ChildSpec, woken: bool) -> bool:
        """Whether a spare can become this: one in a cell is for whoever has a view.

        Where there are no cells, there is little to gain. A fork server is in nobody's way.
        """
        if self._walls.site is None:
            return woken
        if spec.view is None or spec.view.hosts_network:
            return False
        return woken or not spec.forks

    def _refill_in(self, seconds: float) -> None:
        if self._refill is None:
            self._refill = asyncio.get_running_loop().call_later(seconds, self.refill)

    def refill(self) -> None:
        """Make spares until there are enough, one after the other.

        Raises nothing: without one, a start is as before.
        """
        self._refill = None
        if len(self._stock) >= STOCK or self._report is not None:
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
            self._keep(Spare(pid, ours, bounds))
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
            self._keep(Spare(pid, channel, bounds, made))
        except OSError as failure:
            channel.close()
            if bounds:
                bounds.release()
            _log.warning("there is no spare: %s", failure)
        finally:
            report.close()

    def _keep(self, spare: Spare) -> None:
        self._stock.append(spare)
        if len(self._stock) < STOCK:
            self._refill_in(_BETWEEN)

    def close(self) -> None:
        """Let them go."""
        if self._refill:
            self._refill.cancel()
        if self._report is not None:
            asyncio.get_running_loop().remove_reader(self._report)
            self._report.close()
            self._report = None
        while self._stock:
            self._stock.pop().release()


def _wait(channel: socket.socket, keeper: int, enter: tuple[str, ...], walls: Walls) -> NoReturn:
    """Be the spare: hold nothing of the keeper's but the channel, and wait for an order.

    It enters its bounds and builds its cell now: that may take long, and nobody waits yet.
    """
    try:
        become.forget_signals()
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
        become.become(*_understood(order, descriptors, walls))
    finally:
        os._exit(1)


def _understood(
    order: bytes, descriptors: Sequence[int], walls: Walls
) -> tuple[ChildSpec, become.Handover]:
    words = pickle.loads(order)  # noqa: S301 - the keeper's own words
    spec, keeper, notify, outputs = words
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
