"""PostgreSQL and Envoy as children of the keeper: they outlive the control process."""

import sys
from dataclasses import dataclass
from pathlib import Path

from codestore.databases.postgres import PostgresDatabases
from codestore.domain.secret import Secret
from codestore.domain.verification import Aim
from codestore.drivers.process.intruding import Landmarks
from codestore.drivers.process.places import Host
from codestore.gateway.bootstrap import EnvoySettings, envoy_command, write_bootstrap
from codestore.keeper.protocol.client import KeeperClient
from codestore.keeper.spec import ChildSpec
from codestore.settings import Settings
from codestore.vault import FileVault
from codestore.wiring.preparing import embedded_server

ENVOY, POSTGRES = "envoy", "postgres"
STATE_DATABASE = "codestore"
ENVOY_ORDER, POSTGRES_ORDER = 2, 3  # they end after the services
POSTGRES_PATIENCE = 60.0  # seconds: a server that was killed recovers first


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the database server is reached: for the platform's state, and to make databases."""

    state: Secret
    admin: Secret


async def database_server(settings: Settings, keeper: KeeperClient, vault: FileVault) -> Servers:
    """Return the server that was named, or start the embedded one."""
    if settings.database_url is not None:
        url = Secret(settings.database_url)
        return Servers(state=url, admin=url)
    embedded = embedded_server(settings, vault)
    await embedded.prepare()
    await keeper.spawn(
        ChildSpec(
            name=POSTGRES,
            argv=tuple(embedded.command()),
            env=embedded.environment(),
            cwd=str(settings.postgres),
            log=str(settings.logs / "postgres.log"),
            user=embedded.user,
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


async def service_host(settings: Settings, keeper: KeeperClient) -> Host:
    """Return where services run on this host, and what all of them may read of it."""
    walls = (await keeper.list()).walls
    shown = [sys.base_prefix, str(settings.artifacts / "runtimes")]
    if settings.database_url is None:
        shown.append(str(settings.run / "pg"))
    for folder in map(Path, settings.service_path.split(":")):
        # A program's libraries are beside its folder; what else is there is nobody's business.
        shown += [str(each) for each in (folder, folder.parent / "lib") if folder.is_absolute()]
    return Host(settings.work, settings.service_logs, settings.service_path, walls, tuple(shown))


def landmarks(settings: Settings) -> Landmarks:
    """Return where on this host is what belongs to the platform, and to nobody inside a cell."""
    return Landmarks(
        {
            Aim.MASTER_KEY: settings.master_key,
            Aim.KEYRING: settings.keyring,
            Aim.PROFILE: settings.profile,
            Aim.BUNDLES: settings.artifacts / "bundles",
            Aim.CLUSTER: settings.postgres,
            Aim.PLATFORM_LOGS: settings.logs,
            Aim.KEEPER: settings.run / "keeper.sock",
            Aim.ADMIN: settings.run / "admin.sock",
            Aim.DISCOVERY: settings.run / "xds.sock",
            Aim.API: settings.run / "s" / "api",
        },
        settings.artifacts / "trees",
    )


async def run_envoy(settings: Settings, keeper: KeeperClient) -> None:
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
