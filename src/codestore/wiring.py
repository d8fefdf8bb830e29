"""The fuse box: the only file that names concrete things and puts them together.

``serve`` is the life of the control process: everything is opened in order, runs side by side,
and is let go of in reverse. What must outlive it (PostgreSQL, Envoy, instances, sockets) belongs
to the keeper.
"""

import asyncio
import hashlib
import json
import os
import socket
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvicorn

from codestore import __version__
from codestore.actions.office import Office
from codestore.actions.queries import Seen
from codestore.actions.waiting import Bulletin
from codestore.api.app import create_app
from codestore.api.desk import Desk
from codestore.artifacts.builder import UvBuilder
from codestore.clock import SystemClock
from codestore.databases.embedded import EmbeddedServer, ordinary_user
from codestore.databases.postgres import PostgresDatabases
from codestore.domain.deployments import Deployment
from codestore.domain.faults import not_found
from codestore.domain.ids import make_id
from codestore.domain.secret import Secret
from codestore.domain.services import User
from codestore.drivers.process.driver import ProcessDriver
from codestore.drivers.process.launching import Host
from codestore.drivers.process.logs import FileLogs
from codestore.drivers.process.tasks import ProcessTasks
from codestore.gateway.bootstrap import EnvoySettings, envoy_command, write_bootstrap
from codestore.gateway.envoy import EnvoyGateway
from codestore.keeper.client import KeeperClient
from codestore.keeper.saying import say
from codestore.keeper.spec import ChildSpec
from codestore.plan.explain import explain
from codestore.reconcile.cycle import consider
from codestore.reconcile.doors import Doors
from codestore.reconcile.loop import Loop
from codestore.reconcile.restoring import restored_routes
from codestore.reconcile.subject import read_subject
from codestore.settings import Settings
from codestore.store.postgres import PostgresStore
from codestore.vault import FileVault
from codestore.wire import PlanStep, PlanView, Processes, StatusView

ENVOY, POSTGRES = "envoy", "postgres"
STATE_DATABASE = "codestore"
ENVOY_ORDER, POSTGRES_ORDER = 2, 3  # they end after the control process
POSTGRES_PATIENCE = 60.0  # seconds: a server that was killed recovers first
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the database server is reached: for the platform's state, and to make databases."""

    state: Secret
    admin: Secret


async def serve(settings: Settings, api: socket.socket) -> None:
    """Be the control process until told to end."""
    async with AsyncExitStack() as stack:
        keeper_socket = settings.run / "keeper.sock"
        keeper = await stack.enter_async_context(await KeeperClient.connect(keeper_socket))
        vault = FileVault.open_file(settings.master_key)
        gateway = EnvoyGateway(settings.run / "xds.sock", settings.run / "admin.sock", settings.url)
        stack.push_async_callback(gateway.stop)
        await gateway.start()
        await _run_envoy(settings, keeper)
        servers = await _database_server(settings, keeper, vault)
        databases = PostgresDatabases(servers.admin)
        stack.push_async_callback(databases.close)
        await databases.harden()
        store = await PostgresStore.open(servers.state)
        stack.push_async_callback(store.close)
        clock = SystemClock()
        host = Host(settings.work, settings.service_logs, settings.service_path)
        driver = await stack.enter_async_context(ProcessDriver(keeper, keeper_socket, host))
        logs = FileLogs(settings.service_logs, clock.now)
        doors = Doors(
            store=store,
            driver=driver,
            tasks=ProcessTasks(driver.children, host, logs.tail_of),
            logs=logs,
            databases=databases,
            builder=UvBuilder(settings.artifacts, settings.build_environment),
            gateway=gateway,
            vault=vault,
            clock=clock,
        )
        await _welcome(doors, settings)
        await store.lead()
        await gateway.restore(await restored_routes(doors))
        await _run(doors, settings, keeper, api)


async def _run(doors: Doors, settings: Settings, keeper: KeeperClient, api: socket.socket) -> None:
    """Run API, loop and bulletin side by side until the API is told to end."""
    office = Office(doors.store, doors.builder, doors.vault, doors.clock, doors.logs)
    bulletin = Bulletin(doors.store)

    async def status() -> StatusView:
        return await _status(doors, settings, keeper)

    async def plan_of(seen: Seen) -> PlanView:
        return await _plan(doors, seen)

    desk = Desk(office, bulletin, doors.gateway.url, plan_of, status, str(settings.uploads))
    config = uvicorn.Config(
        create_app(desk),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(Loop(doors).run()), group.create_task(bulletin.run())]
        say(settings.run, status=f"ready at {settings.url}", ready=True)
        await server.serve(sockets=[api])
        for task in running:
            task.cancel()


async def _database_server(settings: Settings, keeper: KeeperClient, vault: FileVault) -> Servers:
    """Return the server that was named, or start the embedded one."""
    if settings.database_url is not None:
        url = Secret(settings.database_url)
        return Servers(state=url, admin=url)
    user = ordinary_user()
    embedded = EmbeddedServer(
        settings.postgres, settings.run / "pg", user, vault.derive("postgres")
    )
    await embedded.prepare()
    await keeper.spawn(
        ChildSpec(
            name=POSTGRES,
            argv=tuple(embedded.command()),
            env=embedded.environment(),
            cwd=str(settings.postgres),
            log=str(settings.logs / "postgres.log"),
            user=user,
            restart=True,
            stop_signal="SIGINT",
            order=POSTGRES_ORDER,
        )
    )
    await embedded.ready(POSTGRES_PATIENCE)
    databases = PostgresDatabases(embedded.admin_url)
    await databases.ensure(STATE_DATABASE)
    await databases.close()
    return Servers(state=embedded.url(STATE_DATABASE), admin=embedded.admin_url)


async def _run_envoy(settings: Settings, keeper: KeeperClient) -> None:
    """Have Envoy run; one that runs already stays. It asks the gateway for its configuration."""
    envoy = EnvoySettings(
        port=settings.port,
        host=settings.host,
        control_socket=settings.run / "s" / "api",
        xds_socket=settings.run / "xds.sock",
        admin_socket=settings.run / "admin.sock",
    )
    file = settings.data / "envoy.json"
    write_bootstrap(envoy, file)
    await keeper.spawn(
        ChildSpec(
            name=ENVOY,
            argv=tuple(envoy_command(envoy, file)),
            env={},
            cwd=str(settings.data),
            log=str(settings.logs / "envoy.log"),
            restart=True,
            order=ENVOY_ORDER,
        )
    )


async def _welcome(doors: Doors, settings: Settings) -> None:
    """Make the local owner and a profile for ``cs`` the first time; keep its address true."""
    profile = json.loads(settings.profile.read_text()) if settings.profile.exists() else {}
    token = Secret(profile.get("token") or f"cs_tok_{doors.clock.token()}")
    digest = hashlib.sha256(token.reveal().encode()).hexdigest()
    async with doors.store.begin() as records:
        if not await records.find(User, token=digest):
            name = "owner"
            found = await records.find(User, name=name)
            id_ = found[0].id if found else make_id("usr", doors.clock.token())
            await records.put(User(id_, name, "local", digest))
    await asyncio.to_thread(_write_profile, settings.profile, settings.url, token)


def _write_profile(path: Path, url: str, token: Secret) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps({"url": url, "token": token.reveal()}))
    fresh.replace(path)


async def _status(doors: Doors, settings: Settings, keeper: KeeperClient) -> StatusView:
    children = {held.name: held for held in (await keeper.list()).children if held.running}
    async with doors.store.begin() as records:
        states = Counter(held.state.value for held in await records.find(Deployment))
    embedded = settings.database_url is None
    needed = {ENVOY, POSTGRES} if embedded else {ENVOY}
    pids = {name: held.pid for name, held in children.items()}
    return StatusView(
        version=__version__,
        url=settings.url,
        data=str(settings.data),
        state="ready" if needed <= set(children) else "degraded",
        processes=Processes(os.getppid(), os.getpid(), pids.get(ENVOY), pids.get(POSTGRES)),
        deployments=dict(states),
    )


async def _plan(doors: Doors, seen: Seen) -> PlanView:
    async with doors.store.begin() as records:
        subject = await read_subject(records, doors.vault, seen.deployment.id)
    if subject is None:
        raise not_found("deployment", seen.deployment.id)
    plan, _ = await consider(subject, doors)
    told = explain(plan)
    return PlanView(
        deployment=seen.deployment.id,
        environment=seen.environment.name,
        service=seen.service.name,
        verdict=told["verdict"],
        serving=told["serving"],
        wanted=told["wanted"],
        next_look=told["next_look"],
        steps=[PlanStep(**step) for step in told["steps"]],
    )
