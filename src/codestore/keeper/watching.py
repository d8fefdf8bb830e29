"""Watches that start a child: standby, with nobody needed to end it."""

import asyncio
import functools
import logging
from collections.abc import Mapping

from codestore.keeper.children import Children
from codestore.keeper.errors import KeeperError
from codestore.keeper.home import Home
from codestore.keeper.protocol.messages import Exited
from codestore.keeper.sockets.listeners import Watching
from codestore.keeper.spec import ChildSpec

_log = logging.getLogger(__name__)

NOT_STARTED = 127
"""The exit code told of a child that could not be started; what a shell says, too."""


class Watches:
    """Sets watches, and starts what they are for."""

    def __init__(self, children: Children, home: Home) -> None:
        self._children = children
        self._home = home
        self._tasks: set[asyncio.Task[None]] = set()

    def watch(self, socket: str, spawn: ChildSpec | None, label: Mapping[str, str]) -> None:
        """Watch a socket. Raises ``KeeperError(not-found)``."""
        watching = Watching(label)
        if spawn:
            watching = Watching(label, functools.partial(self._fired, socket, spawn))
        self._home.listeners.watch(socket, watching)

    def _fired(self, socket: str, spec: ChildSpec, noticed: float) -> bool:
        if spec.port:
            self._home.forwards.forward(socket, spec.name)
        task = asyncio.create_task(self._start(socket, spec, noticed), name=f"start {spec.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _start(self, socket: str, spec: ChildSpec, noticed: float) -> None:
        try:
            await self._children.spawn(spec, noticed)
        except (KeeperError, OSError) as failure:
            _log.warning("%s did not start when %s was called: %s", spec.name, socket, failure)
            self._home.publish(
                Exited(spec.name, 0, NOT_STARTED, None, spec.label, will_restart=False)
            )
            return
        run = self._home.runs.get(spec.name)
        if run:
            thawed = run.frozen
            run.thaw()  # it may have been there, asleep
            self._home.waker.woke(socket, run, noticed, thawed)
