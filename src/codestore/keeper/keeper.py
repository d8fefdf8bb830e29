"""The keeper put together: how it begins and how it ends."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from codestore.keeper import journal, processes
from codestore.keeper.bounds.cgroups import pick_freezer
from codestore.keeper.bounds.limits import pick_limiter
from codestore.keeper.children import Children
from codestore.keeper.desk import Desk
from codestore.keeper.home import Home
from codestore.keeper.journal import Journal
from codestore.keeper.protocol.messages import Event, Exited, Notify
from codestore.keeper.protocol.server import Server, Subscribers
from codestore.keeper.reaper import Reaper
from codestore.keeper.run import Run
from codestore.keeper.rundir import RunDir
from codestore.keeper.shortage import Shortages
from codestore.keeper.sockets.forwarding import Forwards
from codestore.keeper.sockets.listeners import Listeners, bind
from codestore.keeper.sockets.readiness import NotifySocket
from codestore.keeper.sockets.waking import Waker
from codestore.keeper.spawning.spares import Spares
from codestore.keeper.spec import ChildSpec
from codestore.keeper.walls.picking import Walls, pick_walls

_log = logging.getLogger(__name__)

GIVEN_UP: Final = 78
"""Exit code of a control process that cannot start as things are (``EX_CONFIG`` of sysexits)."""

CONTROL_BACKLOG: Final = 4096
"""Connections that may wait while the control process is being restarted."""

_TIDY_AFTER: Final = 10.0  # seconds
GRACE: Final = 10.0
"""Seconds that each order of children gets when the keeper itself is told to end by a signal."""


def keep(
    run: RunDir,
    logs: Path,
    control: ChildSpec,
    tell: Callable[[str], None],
    reach: Sequence[int] = (),
) -> bool:
    """Be the keeper of ``run`` until told to end, with ``control`` as the first child.

    What ``control`` says of itself by sd_notify goes to ``tell``. When it ends with ``GIVEN_UP``,
    starting it again cannot help: everything ends, and false is returned.

    The sockets that ``control`` is given are held before it starts, and outlive it. ``reach`` are
    the ports of the host's loopback that children find in a network of their own.

    Raises ``KeeperError``: ``start`` when the folder is in use, ``exec`` when the control process
    cannot be started.
    """
    os.umask(0o077)
    held = run.lock()
    try:
        swept = journal.sweep(run.journal)
        if swept:
            _log.warning("ended %d processes that a killed keeper left behind", swept)
        run.remove_stale()
        processes.adopt_orphans()
        walls = pick_walls(run.cell, reach)  # while there is one thread
        return asyncio.run(_main(run, logs, control, tell, walls))
    finally:
        os.close(held)


async def _main(
    run: RunDir, logs: Path, control: ChildSpec, tell: Callable[[str], None], walls: Walls
) -> bool:
    return await Keeper(run, logs, tell, walls).serve(control)


class Keeper:
    """One keeper on its event loop."""

    def __init__(self, run: RunDir, logs: Path, tell: Callable[[str], None], walls: Walls) -> None:
        self._run = run
        self._tell = tell
        self._first = ""
        self._given_up = False
        self._subscribers = Subscribers()
        self._listeners = Listeners(run.sockets, self._subscribers.publish)
        self._reaper = Reaper()
        self._journal = Journal(run.journal)
        self._notify = NotifySocket(run.notify, run.notify_mode, self._heard)
        self._limiter = pick_limiter(run)
        self._freezer = pick_freezer(run)
        self._spares = Spares(self._limiter, walls)
        runs: dict[str, Run] = {}
        forwards = Forwards(self._listeners, runs)
        home = Home(
            listeners=self._listeners,
            forwards=forwards,
            waker=Waker(self._listeners, forwards, self._publish),
            freezer=self._freezer,
            limiter=self._limiter,
            reaper=self._reaper,
            journal=self._journal,
            publish=self._publish,
            notify=self._notify.path,
            logs=logs,
            runs=runs,
            spares=self._spares,
            walls=walls,
        )
        self._children = Children(home)
        self._shortages = Shortages(runs)
        desk = Desk(self._children, home, self._shutdown)
        self._server = Server(desk.handle, self._subscribers)
        self._told: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def serve(self, control: ChildSpec) -> bool:
        """Serve until told to end; then end everything. Return whether that was wanted.

        Raises ``KeeperError(exec)`` when the control process cannot be started.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reaper.reap)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._shutdown, GRACE)
        grace = 0.0
        watching = asyncio.create_task(self._shortages.watch(), name="shortages")
        self._first = control.name
        try:
            await self._server.start(bind(self._run.socket, socket.SOCK_STREAM, 0o600))
            for _, listener in control.sockets:
                self._listeners.listen(listener, CONTROL_BACKLOG)
            await self._children.spawn(control)
            self._spares.refill()
            loop.call_later(_TIDY_AFTER, loop.run_in_executor, None, self._run.forget_stale)
            grace = await self._told
        finally:
            watching.cancel()
            await self._end(grace)
        return not self._given_up

    def _publish(self, event: Event) -> None:
        self._subscribers.publish(event)
        match event:
            case Notify(name, _, status) if name == self._first and status:
                self._tell(status)
            case Exited(name, _, code) if name == self._first and code == GIVEN_UP:
                self._given_up = True
                self._shutdown(0)

    async def _end(self, grace: float) -> None:
        self._spares.close()
        await self._children.stop_all(grace)
        await self._reaper.end_orphans()
        await self._server.close()
        self._listeners.close_all()
        self._notify.close()
        self._limiter.close()
        self._freezer.close()
        self._journal.close()
        self._run.socket.unlink(missing_ok=True)

    def _shutdown(self, grace: float) -> None:
        if not self._told.done():
            self._told.set_result(grace)

    def _heard(self, sender: int, variables: Mapping[str, str]) -> None:
        self._children.heard(sender, variables)
