"""The door ``Programs`` on this host: each in a cell of its own, which ends with it."""

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from codestore.domain.faults import unavailable
from codestore.drivers.process.places import Host
from codestore.drivers.process.reading import LogReader
from codestore.keeper.errors import NOT_FOUND, RUNNING, KeeperError
from codestore.keeper.protocol.client import PATIENCE, KeeperClient
from codestore.keeper.protocol.events import EventStream
from codestore.keeper.protocol.messages import Exited
from codestore.keeper.spec import ChildSpec
from codestore.keeper.walls.picking import CELL, NONE
from codestore.keeper.walls.view import View
from codestore.ports.programs import Ended, Program

BUILDER: Final = 0x6FFFFFFF
"""The user id of whoever builds where the platform is root's: no deployment's, nor anybody's."""
MEMORY: Final = 4 << 30  # bytes for a program and all whom it starts
FILE_SIZE: Final = 8 << 30  # bytes of the longest file that one may write
_LINES: Final = 100  # of output, the last
_LABEL: Final = {"kind": "build"}  # it is of no deployment
_KILLED: Final = 0.01  # seconds between looks whether somebody who was killed has gone


class ProcessPrograms:
    """Programs as children of the keeper, which end with the platform, whatever ends it."""

    def __init__(self, keeper: KeeperClient, socket: Path, host: Host, logs: Path) -> None:
        self._keeper = keeper
        self._socket = socket
        self._walls = host.walls
        self._logs = logs
        self._numbers = itertools.count(1)

    @property
    def user(self) -> tuple[int, int] | None:
        """Whom programs run as where we are root, and something is there to keep them inside."""
        return (BUILDER, BUILDER) if os.geteuid() == 0 and self._walls == CELL else None

    async def end_leftovers(self) -> None:
        """End what an earlier control process had begun: nobody waits for it any more."""
        for child in (await self._keeper.list()).children:
            if child.label == _LABEL:
                await self._end(child.name)

    async def run(self, program: Program) -> Ended:
        """Run and wait. Raises ``TimeoutError``, and an UNAVAILABLE fault without the keeper."""
        name = f"build-{os.getpid()}-{next(self._numbers)}"
        log = self._logs / f"{name}.log"
        try:
            async with asyncio.timeout(program.timeout), self._clearing(name, log):
                async with EventStream(self._socket, PATIENCE) as events:
                    await self._keeper.spawn(self._spec(program, name, log))
                    ended = await _end_of(name, events)
                return Ended(_code(ended), await asyncio.to_thread(_said, log, ended.cause))
        except KeeperError as error:
            raise unavailable("keeper", "The host did not answer", str(error)) from error

    @asynccontextmanager
    async def _clearing(self, name: str, log: Path) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self._end(name)
            for file in log.parent.glob(f"{log.name}*"):
                file.unlink(missing_ok=True)

    async def _end(self, name: str) -> None:
        """Kill it if it is there, and return when it is not: with it, everybody in its cell."""
        with contextlib.suppress(KeeperError):
            await self._keeper.stop(name, 0.0)
        while True:
            try:
                await self._keeper.forget(name)
            except KeeperError as error:
                if error.code == NOT_FOUND:
                    return
                if error.code != RUNNING:
                    raise
            else:
                return
            await asyncio.sleep(_KILLED)

    def _spec(self, program: Program, name: str, log: Path) -> ChildSpec:
        view = None
        if self._walls != NONE:
            # In the host's network: an index of packages, or a proxy, may be on this very host.
            view = View(program.reads, program.writes, program.folder, "build", hosts_network=True)
        return ChildSpec(
            name=name,
            argv=program.words,
            env=program.environment,
            cwd=program.folder,
            log=str(log),
            label=_LABEL,
            user=self.user,
            umask=0o022,  # what is installed is read by instances, which run as other users
            memory=MEMORY,
            file_size=FILE_SIZE,
            secrets=program.secrets,
            view=view,
        )


async def _end_of(name: str, events: EventStream) -> Exited:
    while True:
        event = await anext(events)
        if isinstance(event, Exited) and event.name == name:
            return event


def _code(ended: Exited) -> int:
    return ended.code if ended.code is not None else -1


def _said(log: Path, cause: str) -> str:
    lines = [line.text for line in LogReader(log).last(_LINES) if line.stream != "stdout"]
    return "\n".join([*lines, *([cause] if cause else [])])
