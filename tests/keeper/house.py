"""A real keeper in a folder of its own, and small words for what tests do with it."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from codestore.keeper import processes
from codestore.keeper.errors import KeeperError
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.protocol.events import EventStream
from codestore.keeper.protocol.messages import ChildView, Event, Exited
from codestore.keeper.spec import ChildSpec
from codestore.keeper.walls.view import View
from tests.support.platform import ROOT

PATH = "/usr/local/bin:/usr/bin:/bin"
PATIENCE = 30.0
"""Seconds for what takes milliseconds: the machine may be loaded, and nothing is to be measured."""
IDLE = ("sleep", "1000")
VIEW = View((str(ROOT), sys.prefix, sys.base_prefix), (), "/")
"""What a walled child needs to see to run Python."""
SAY = """
import os, socket, sys
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
"""
"""What a child script needs to speak sd_notify."""

SIGNALS_ONLY = """
import sys
from codestore.keeper import keeper
from codestore.keeper.bounds import freezing
keeper.pick_freezer = lambda run: freezing.SignalFreezer()
from codestore.keeper.__main__ import main
sys.exit(main())
"""
"""A keeper that freezes by signals wherever it runs."""

QUICK_LOOKS = """
import sys
from codestore.keeper import shortage
shortage.LOOK = 0.05
from codestore.keeper.__main__ import main
sys.exit(main())
"""
"""A keeper that looks often whether the kernel has ended somebody for want of memory."""

UNBOUNDED = """
import sys
from codestore.keeper import keeper
from codestore.keeper.bounds import limiting
keeper.pick_limiter = lambda run: limiting.NoLimiter()
from codestore.keeper.__main__ import main
sys.exit(main())
"""
"""A keeper that can bound nothing, wherever it runs."""

Kind = TypeVar("Kind", bound=Event)


def child(name: str, *argv: str, **more: object) -> ChildSpec:
    """A child with nothing but a PATH."""
    given: dict[str, object] = {"env": {"PATH": PATH}, "cwd": "/", **more}
    return ChildSpec(name=name, argv=argv or IDLE, **given)  # type: ignore[arg-type]


def script(name: str, code: str, python: str = sys.executable, **more: object) -> ChildSpec:
    """A child that runs Python code."""
    return child(name, python, "-I", "-S", "-c", SAY + code, **more)


async def event(stream: EventStream, kind: type[Kind], name: str) -> Kind:
    """The next event of this kind about this child or socket."""
    async with asyncio.timeout(PATIENCE):
        async for each in stream:
            subject = each.socket if hasattr(each, "socket") else each.name
            if isinstance(each, kind) and subject == name:
                return each
    raise AssertionError("the stream ended")


async def gone(pid: int) -> None:
    """Return when a process has ended (a zombie has)."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(watch, ended.set)
    try:
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
    finally:
        loop.remove_reader(watch)
        os.close(watch)


def alive(pid: int) -> bool:
    """Whether a process runs and is no zombie."""
    seen = processes.stat(pid)
    return seen is not None and seen.state != "Z"


async def frozen(pid: int) -> None:
    """Return when a process has taken notice of its SIGSTOP."""
    async with asyncio.timeout(PATIENCE):
        while (seen := processes.stat(pid)) and seen.state != "T":
            await asyncio.sleep(0.005)  # nobody but its parent is told


class House:
    """One run folder; ``start`` and ``start`` again put a keeper in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run = root / "run"
        self.logs = root / "logs"
        self.keeper: subprocess.Popen[bytes] | None = None
        self._clients: list[KeeperClient] = []

    def command(self, *control: str) -> list[str]:
        """The command line of a keeper here."""
        keeper = (sys.executable, "-m", "codestore.keeper")
        return [*keeper, *self.arguments(*control)]

    def arguments(self, *control: str) -> list[str]:
        """The arguments of a keeper here."""
        return ["--run", str(self.run), "--logs", str(self.logs), "--", *(control or IDLE)]

    async def start(self, *control: str) -> KeeperClient:
        """Start a keeper and connect when it is ready."""
        return await self.started(self.command(*control))

    async def started(self, command: list[str], **user: Any) -> KeeperClient:
        """Start a keeper by this command, as this user, and connect when it is ready."""
        cwd = self.root if user else None
        self.keeper = subprocess.Popen(command, cwd=cwd, **user)
        async with asyncio.timeout(PATIENCE):
            while True:
                assert self.keeper.poll() is None, "the keeper ended"
                with contextlib.suppress(KeeperError):
                    client = await self.connect()
                    await client.spawn(child("control"))  # returns when it has started
                    return client
                await asyncio.sleep(0.005)  # nothing announces a socket that is not there yet

    async def connect(self, patience: float = 10) -> KeeperClient:
        """Another client."""
        made = await KeeperClient.connect(self.run / "keeper.sock", patience)
        self._clients.append(made)
        return made

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A bare connection, for what a client would never send."""
        reader, writer = await asyncio.open_unix_connection(
            self.run / "keeper.sock", limit=16 * 1024 * 1024
        )
        try:
            yield reader, writer
        finally:
            writer.close()

    async def kill(self) -> None:
        """kill -9 the keeper."""
        assert self.keeper
        self.keeper.kill()
        await self.over()

    async def open(self) -> None:
        """Start a keeper and leave no client behind."""
        await self.start()
        await self.hang_up()

    async def hang_up(self) -> None:
        """Close the clients."""
        while self._clients:
            await self._clients.pop().close()

    async def tidy(self) -> None:
        """End every child but control, close every socket, remove every log."""
        client = await self.connect()
        async with client.events() as events:
            for each in (await client.list()).children:
                if each.name != "control":
                    if await client.stop(each.name, 0):
                        await event(events, Exited, each.name)
                    await client.forget(each.name)
        listing = await client.list()
        for held in listing.sockets:
            await client.close_socket(held.name)
        await self.hang_up()
        self.expect_only(*(each.pid for each in listing.children))
        for log in self.logs.rglob("*.log*"):
            if log.name != "control.log":
                log.unlink()

    async def end(self) -> int:
        """End the keeper by SIGTERM if it runs; return its exit code."""
        await self.hang_up()
        if self.keeper is None:
            return 0
        if self.keeper.poll() is None:
            self.keeper.send_signal(signal.SIGCONT)
            self.keeper.terminate()
        return await self.over()

    async def over(self) -> int:
        """Wait for the keeper's end; return its exit code."""
        assert self.keeper
        await gone(self.keeper.pid)
        return self.keeper.wait()

    def inhabitants(self) -> set[int]:
        """Processes whose sd_notify socket is in this house."""
        found = set()
        for pid in processes.everyone():
            with contextlib.suppress(OSError):
                environ = Path(f"/proc/{pid}/environ").read_bytes()
                if f"NOTIFY_SOCKET={self.run}/".encode() in environ:
                    found.add(pid)
        return found

    def expect_only(self, *pids: int) -> None:
        """Fail unless these are all inhabitants; who has just been killed may take a moment."""
        deadline = time.monotonic() + PATIENCE
        while (left := self.inhabitants() - set(pids)) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not left, f"processes left behind: {left}"

    def log(self, name: str) -> list[tuple[str, str, str]]:
        """(stream, tag, text) of each line of a log; every line must be a CRI line."""
        lines = []
        for line in (self.logs / name).read_text().splitlines():
            match = re.fullmatch(
                r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (stdout|stderr|platform) ([FP]) (.*)",
                line,
            )
            assert match, f"no CRI line: {line[:200]!r}"
            lines.append((match[1], match[2], match[3]))
        return lines


async def run(client: KeeperClient, spec: ChildSpec) -> Exited:
    """Spawn a child and wait for its end."""
    async with client.events() as events:
        await client.spawn(spec)
        return await event(events, Exited, spec.name)


async def listed(client: KeeperClient, name: str) -> ChildView:
    """A child as listed."""
    return next(each for each in (await client.list()).children if each.name == name)
