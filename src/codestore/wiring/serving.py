"""The life of the control process.

Everything is opened in order, runs side by side, and is let go of in reverse. What must outlive it
(PostgreSQL, Envoy, instances, sockets) belongs to the keeper.
"""

import asyncio
import gc
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

from codestore import __version__
from codestore.actions.devices import Provider
from codestore.actions.office import Office
from codestore.actions.waiting import Bulletin
from codestore.api.app import create_app
from codestore.api.desk import Desk
from codestore.artifacts.builder import UvBuilder
from codestore.artifacts.uv_command import Uv
from codestore.clock import SystemClock
from codestore.databases.postgres import PostgresDatabases
from codestore.drivers.process.driver import ProcessDriver
from codestore.drivers.process.intruding import ProcessIntruder
from codestore.drivers.process.logs import FileLogs
from codestore.drivers.process.programs import ProcessPrograms
from codestore.drivers.process.tasks import ProcessTasks
from codestore.gateway.envoy import EnvoyGateway
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.saying import say
from codestore.keyring import FileKeyring
from codestore.oidc import Client, OidcIdentities
from codestore.reconcile.counting import keep_count
from codestore.reconcile.doors import Doors
from codestore.reconcile.housekeeping import keep_house
from codestore.reconcile.letting_in import end_keys, let_in
from codestore.reconcile.loop import Loop
from codestore.reconcile.restoring import restored_routes
from codestore.reconcile.scaling import Scaler
from codestore.reconcile.verifying import Verifier
from codestore.settings import OpenId, Settings
from codestore.store.postgres import PostgresStore
from codestore.vault import FileVault
from codestore.wiring.listening import Server
from codestore.wiring.servers import database_server, landmarks, run_envoy, service_host
from codestore.wiring.telling import canary_tally, next_plan, platform_status
from codestore.wiring.welcoming import welcome


async def serve(settings: Settings, api: socket.socket) -> None:
    """Be the control process until told to end."""
    async with AsyncExitStack() as stack:
        keeper_socket = settings.run / "keeper.sock"
        keeper = await stack.enter_async_context(await KeeperClient.connect(keeper_socket))
        vault = FileVault.open_file(settings.master_key)
        gateway = EnvoyGateway(settings.run / "xds.sock", settings.run / "admin.sock", settings.url)
        stack.push_async_callback(gateway.stop)
        await gateway.start()
        await run_envoy(settings, keeper)
        servers = await database_server(settings, keeper, vault)
        databases = PostgresDatabases(servers.admin)
        stack.push_async_callback(databases.close)
        await databases.harden()
        store = await PostgresStore.open(servers.state)
        stack.push_async_callback(store.close)
        clock = SystemClock()
        host = await service_host(settings, keeper)
        driver = await stack.enter_async_context(ProcessDriver(keeper, keeper_socket, host))
        logs = FileLogs(settings.service_logs, clock.now)
        programs = ProcessPrograms(keeper, keeper_socket, host, settings.logs / "builds")
        await programs.end_leftovers()
        uv = Uv.installed(settings.build_environment, settings.build_cache, programs)
        doors = Doors(
            store=store,
            driver=driver,
            standby=driver.standby,
            tasks=ProcessTasks(driver.children, host, logs.tail_of),
            intruder=ProcessIntruder(driver.children, host, logs.tail_of, landmarks(settings)),
            logs=logs,
            databases=databases,
            builder=UvBuilder(settings.artifacts, uv),
            gateway=gateway,
            traffic=gateway.traffic,
            vault=vault,
            keyring=FileKeyring(settings.keyring, settings.master_keys),
            clock=clock,
        )
        await welcome(_office(doors), settings)
        await store.lead()
        await asyncio.to_thread(_clear, settings.uploads)
        await gateway.restore(await restored_routes(doors))
        stocking = asyncio.create_task(databases.keep_spares())
        stack.callback(stocking.cancel)
        provider = await stack.enter_async_context(_provider(settings.openid))
        await _run(doors, settings, keeper, api, provider)


def _clear(uploads: Path) -> None:
    """Delete what requests had sent that a crash cut short: nobody else would."""
    for left in uploads.iterdir():
        shutil.rmtree(left, ignore_errors=True)


async def _run(
    doors: Doors,
    settings: Settings,
    keeper: KeeperClient,
    api: socket.socket,
    provider: Provider | None,
) -> None:
    """Run API, loop and bulletin side by side until the API is told to end."""
    verifier = Verifier(doors, __version__)
    desk = _desk(doors, settings, keeper, provider, verifier)
    app = create_app(desk, (*settings.hosts, socket.gethostname()), settings.api_rate)
    server = Server(app)
    async with asyncio.TaskGroup() as group:
        work = (
            Loop(doors).run(),
            Scaler(doors).run(),
            verifier.run(),
            desk.bulletin.run(),
            keep_count(doors),
            end_keys(doors),
            keep_house(doors, settings.ready_versions),
        )
        running = [group.create_task(each) for each in work]
        gc.freeze()  # what was loaded stays: to walk over it takes a tenth of a second
        say(settings.run, status=f"ready at {settings.url}", ready=True)
        # When it has ended, the server passes the signal on to whoever listened before; by default
        # that is the end of the process, with everything below left undone.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        await server.serve(sockets=[api])
        for task in running:
            task.cancel()


def _desk(
    doors: Doors,
    settings: Settings,
    keeper: KeeperClient,
    provider: Provider | None,
    verifier: Verifier,
) -> Desk:
    """Give the handlers of the API what they may use, and nothing else."""
    return Desk(
        office=_office(doors),
        bulletin=Bulletin(doors.store),
        url_of=doors.gateway.url,
        plan_of=partial(next_plan, doors),
        status=partial(platform_status, doors, settings, keeper),
        tally_of=partial(canary_tally, doors),
        uploads=str(settings.uploads),
        reading=doors.traffic.reading,
        let_in=partial(let_in, doors=doors),
        ring=verifier.ring,
        provider=provider,
    )


@asynccontextmanager
async def _provider(openid: OpenId | None) -> AsyncIterator[Provider | None]:
    """Lend the OpenID provider that is configured, if one is."""
    if openid is None:
        yield None
        return
    client = Client(openid.issuer, openid.client_id, openid.client_secret)
    async with aclosing(OidcIdentities(client)) as identities:
        yield Provider(identities, openid.organization)


def _office(doors: Doors) -> Office:
    return Office(doors.store, doors.builder, doors.vault, doors.clock, doors.logs, doors.keyring)
