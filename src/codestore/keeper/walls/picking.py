"""What holds children inside here: found out by trying it once."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from codestore.keeper.walls import calls, cell, filters, landlock, network
from codestore.keeper.walls.cell import Site
from codestore.keeper.walls.view import View

CELL, LANDLOCK, NONE = "cell", "landlock", "none"
_PATIENCE: Final = 5.0  # seconds
_TRIED: Final = 0x70000000  # a user nobody is


@dataclass(frozen=True, slots=True)
class Walls:
    """How children are kept inside: ``kind`` is ``cell``, ``landlock`` or ``none``.

    ``site`` is where cells are built, ``landlock`` the version that the kernel has (0: none).
    ``why`` tells what is in the way of a cell, ``exposed`` why it has no network of its own.
    """

    kind: str = NONE
    site: Site | None = None
    landlock: int = 0
    why: str = ""
    exposed: str = ""

    def for_view(self, view: View | None) -> "Walls":
        """Return those that are around whoever sees this."""
        if view is None or not view.hosts_network or self.site is None:
            return self
        return replace(self, site=replace(self.site, network=None))

    def prepare(self) -> None:
        """Do in this process what can be done before it is known for whom. Raises ``OSError``."""
        if self.site:
            cell.prepare(self.site)
        calls.prctl(calls.PR_SET_NO_NEW_PRIVS, 1)
        if self.site:
            landlock.keep_inside(self.landlock)

    def close_in(
        self, view: View, user: tuple[int, int] | None, notify: str, prepared: bool
    ) -> None:
        """Hold this process inside for ever. ``prepared``: the first half is done.

        Raises ``OSError``.
        """
        if self.kind == NONE:
            return
        if not prepared:
            self.prepare()
        if self.site:
            cell.furnish(self.site, view, user, notify)
        else:
            if os.geteuid() == 0:
                calls.drop_bounds()
                calls.drop_capabilities()
            landlock.confine(view, notify, self.landlock)
        filters.refuse_calls()


NO_WALLS: Final = Walls()


def pick_walls(base: Path, reach: Sequence[int] = ()) -> Walls:
    """Return the best walls that work here; ``base`` is a folder for cells, made when missing.

    ``reach`` are the TCP ports of the host's loopback that are found in a network of a cell's own.
    """
    if calls.MISSING:
        return Walls(why="this system has none")
    known = landlock.version()
    site = Site(str(base), os.geteuid() == 0)
    try:
        base.mkdir(mode=0o755, exist_ok=True)
        _try(Walls(CELL, site, known))
    except OSError as failure:
        return Walls(LANDLOCK if known else NONE, None, known, str(failure))
    try:
        connected = replace(site, network=network.find(reach))
        _try(Walls(CELL, connected, known))
    except OSError as failure:
        return Walls(CELL, site, known, exposed=failure.strerror or str(failure))
    return Walls(CELL, connected, known)


def _try(walls: Walls) -> None:
    """Build a cell and leave it. Raises ``OSError`` when that cannot be done."""
    assert walls.site is not None
    report, written = socket.socketpair()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    keeper, first = os.getpid(), os.fork()
    if first == 0:
        _be_tried(walls, walls.site, keeper, written)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    written.close()
    try:
        child, made = cell.split_off(report)
        try:
            said = _ending(child)
            if made.link:
                made.link.wait()
        finally:
            made.leave()
        if said:
            raise OSError(said, f"no cell: {os.strerror(said)}")
    finally:
        report.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(first, 0)


def _be_tried(walls: Walls, site: Site, keeper: int, report: socket.socket) -> None:
    """End with the number of the error, 0 for none."""
    code = 1
    try:
        cell.split(site, keeper, report)
        user = (_TRIED, _TRIED) if site.root else None
        view = View((), (), "/")
        walls.close_in(view, user, f"{site.base}/-", prepared=False)
        code = 0
    except OSError as failure:
        code = failure.errno or 1
    finally:
        os._exit(code)


def _ending(pid: int) -> int:
    """Return the exit code of a child, which has some seconds. Raises ``OSError``."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) & 0xFF
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError(f"no cell within {_PATIENCE:g} s")
