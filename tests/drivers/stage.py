"""What a test of the process driver stands on: a keeper, a driver, and services to run."""

import asyncio
import itertools
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx

from codestore.domain.environments import Resources
from codestore.domain.instances import Artifact, InstanceState, View, Workload
from codestore.domain.manifest import Health, Run, RunKind
from codestore.domain.secret import Secret
from codestore.drivers.process.driver import ProcessDriver
from codestore.drivers.process.logs import FileLogs
from codestore.drivers.process.places import Host, home_folder, provide_folders
from codestore.drivers.process.rounds import EVERY
from codestore.drivers.process.tasks import ProcessTasks
from codestore.keeper.protocol.client import KeeperClient
from tests.keeper.house import PATH, House
from tests.support.platform import ROOT

SERVICES = Path(__file__).parent / "services"
PATIENCE = 30.0
_NUMBERS = itertools.count()


def deployment() -> str:
    """A deployment nobody has used before."""
    return f"d{next(_NUMBERS)}"


def workload(
    id_: str,
    *command: str,
    runtime: str | None = sys.executable,
    environment: Mapping[str, str] | None = None,
    drain: float = 5.0,
    health: Health | None = None,
    resources: Resources | None = None,
) -> Workload:
    """A workload: a command, or without one the service in ``app.py``."""
    run = Run(RunKind.COMMAND, command) if command else Run(RunKind.ASGI, ("app:app",))
    secrets = {name: Secret(value) for name, value in (environment or {}).items()}
    artifact = Artifact("digest", str(SERVICES), runtime)
    return Workload(
        id_,
        1,
        artifact,
        run,
        secrets,
        drain,
        health=health or Health(),
        resources=resources or Resources(),
    )


def python(id_: str, code: str) -> Workload:
    """A workload that runs Python code, as a task."""
    return workload(id_, sys.executable, "-I", "-S", "-u", "-c", code)


@dataclass
class Stage:
    """The driver under test; ``restarted`` is another one, as after a restart of ours.

    Whoever serves is asked ``every`` so many seconds whether it is well.
    """

    house: House
    client: KeeperClient
    driver: ProcessDriver
    host: Host
    logs: FileLogs
    every: float = EVERY
    tasks: ProcessTasks = field(init=False)

    def __post_init__(self) -> None:
        self.tasks = ProcessTasks(self.driver.children, self.host, self.logs.tail_of)

    @asynccontextmanager
    async def restarted(self) -> AsyncIterator["Stage"]:
        async with opened(self.house, self.every) as other:
            yield other

    async def until(self, id_: str, holds: Callable[[View], bool]) -> View:
        """The first view of which this holds."""
        async with asyncio.timeout(PATIENCE):
            view = await self.driver.observe(id_)
            if holds(view):
                return view
            async for _ in self.driver.changes():
                view = await self.driver.observe(id_)
                if holds(view):
                    return view
        raise AssertionError("changes ended")

    async def reach(self, id_: str, state: InstanceState) -> View:
        """The first view in which all instances are in this state."""
        return await self.until(id_, lambda view: states(view) == {state})

    async def serving(self, wanted: Workload) -> View:
        """Start an instance and bring it to its users."""
        name = f"{wanted.deployment}.{wanted.revision}.0"
        await self.driver.start(wanted, 0)
        await self.reach(wanted.deployment, InstanceState.READY)
        await self.driver.admit(wanted.deployment, name)
        return await self.reach(wanted.deployment, InstanceState.SERVING)

    async def asleep(self, id_: str, name: str, queue: int = 100) -> View:
        """Freeze an instance; the last connection may take a moment to end."""
        async with asyncio.timeout(PATIENCE):
            while not await self.driver.standby.freeze(id_, name, queue):
                await asyncio.sleep(0.01)
        return await self.reach(id_, InstanceState.FROZEN)

    async def said(self, id_: str, text: str) -> None:
        """Return when a deployment has printed this."""
        async with asyncio.timeout(PATIENCE):
            async for line in self.logs.follow(id_, 100):
                if line.text == text:
                    return

    def home(self, id_: str) -> Path:
        """What a deployment and a test both see, writable for both."""
        provide_folders(self.host, id_)
        return home_folder(self.host, id_)

    def folders(self, id_: str) -> list[Path]:
        return [path for path in (self.host.work / id_, self.host.logs / id_) if path.exists()]


@asynccontextmanager
async def opened(house: House, every: float = EVERY) -> AsyncIterator[Stage]:
    """A driver over the keeper of a house."""
    client = await house.connect()
    walls = (await client.list()).walls
    shown = (sys.base_prefix, str(ROOT))
    host = Host(house.root / "work", house.logs, PATH, walls, shown)
    logs = FileLogs(house.logs, lambda: datetime.now(UTC))
    async with ProcessDriver(client, house.run / "keeper.sock", host, every) as driver:
        yield Stage(house, client, driver, host, logs, every)
    shutil.rmtree(host.work, ignore_errors=True)


def states(view: View) -> set[InstanceState]:
    return {instance.state for instance in view.instances}


@asynccontextmanager
async def caller(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client for an endpoint."""
    uds = address.removeprefix("unix:") if address.startswith("unix:") else None
    base = "http://service" if uds else address.replace("tcp:", "http:")
    transport = httpx.AsyncHTTPTransport(uds=uds)
    async with httpx.AsyncClient(transport=transport, base_url=base, timeout=PATIENCE) as found:
        yield found
