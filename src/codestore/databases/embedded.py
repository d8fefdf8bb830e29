"""The platform's own PostgreSQL server, in pieces: somebody else runs its process.

``prepare`` makes or checks the folder, ``command`` and ``environment`` say what to run (end it by
``STOP_SIGNAL``), ``ready`` waits until it answers. It listens on a Unix socket only, and asks
everybody for a password.
"""

import asyncio
import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from codestore.databases.address import DEFAULT_PORT, Address
from codestore.databases.binaries import runnable
from codestore.databases.folders import Account, make_folder, make_way, require_reachable
from codestore.databases.initdb import ADMIN, ENVIRONMENT, Maker, clear_stale_locks
from codestore.domain.faults import failed, invalid, unavailable
from codestore.domain.secret import Secret

STOP_SIGNAL: Final = "SIGINT"
"""Asks the server to end at once and in order, without waiting for its clients."""

_LONGEST_SOCKET: Final = 107  # bytes of a path in sockaddr_un
_POLL: Final = 0.02
_SETTINGS: Final = {
    "listen_addresses": "",
    # Services run as other users; each still needs its password.
    "unix_socket_permissions": "0777",
    "max_connections": "500",
    # Kept for the admin, so that the platform gets in when services have taken all others.
    "superuser_reserved_connections": "30",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    # No replica follows: CREATE DATABASE takes a fifth of the time.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Neither statements nor values of rows reach the log: they may be secrets.
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_min_duration_statement": "-1",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A server with its data in ``data`` and its socket in ``run``.

    ``user`` is who it runs as (``None``: who we are; never root). ``password`` is the admin's.
    ``spare`` takes a copy of the binaries when ``user`` cannot reach the installed ones.
    """

    data: Path
    run: Path
    user: Account | None
    password: Secret
    spare: Path | None = None

    async def prepare(self) -> None:
        """Make the folders, or check those that are there; harmless while the server runs.

        Raises a FAILED fault for a folder that cannot be reached or used, and an INVALID one for
        a path too long for a socket.
        """
        await asyncio.to_thread(self._prepare)

    def command(self) -> list[str]:
        """Return the argument list of the server."""
        settings = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
        server = str(self._binaries() / "postgres")
        return [server, "-D", str(self.data), "-k", str(self.run), "-p", DEFAULT_PORT, *settings]

    def environment(self) -> dict[str, str]:
        """Return the whole environment of the server."""
        return dict(ENVIRONMENT)

    async def ready(self, timeout: float) -> None:
        """Wait until the server answers a query, for at most ``timeout`` seconds.

        Raises an UNAVAILABLE fault after that, and a FAILED one when the password is wrong.
        """
        problem = "It does not take connections."
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        return await self._ask()
                    except psycopg.OperationalError as error:
                        problem = str(error).strip()
                        self._require_known(problem)
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise unavailable(
                "database_not_ready",
                "The database server does not answer",
                f"Not within {timeout:g} s: {problem}",
                "Its log says why.",
            ) from None

    @property
    def admin_url(self) -> Secret:
        """The URL by which the admin connects, to the database ``postgres``."""
        return self.url("postgres")

    def url(self, database: str) -> Secret:
        """Return the URL by which the admin connects to a database."""
        return Address(str(self.run)).url(ADMIN, self.password, database)

    def _prepare(self) -> None:
        socket = self.run / f".s.PGSQL.{DEFAULT_PORT}"
        if len(os.fsencode(socket)) > _LONGEST_SOCKET:
            raise invalid(
                "path_too_long",
                "The path is too long for a socket",
                f"{socket} has more than {_LONGEST_SOCKET} bytes.",
                hint="Choose a shorter data folder.",
            )
        for folder in (self.data, self.run):
            require_reachable(folder, self.user)
            make_way(folder, self.user)
        make_folder(self.run, self.user, 0o755)
        maker = Maker(self._binaries(), self.user)
        if self.data.exists() and any(self.data.iterdir()):
            maker.check(self.data)
            clear_stale_locks(self.data, socket)
        else:
            maker.make(self.data, self.password)

    def _binaries(self) -> Path:
        spare = self.spare or self.data.with_name(f"{self.data.name}-server")
        return runnable(self.user, spare)

    def _require_known(self, problem: str) -> None:
        # A connection that fails has no code, but this server speaks English.
        if "password authentication failed" in problem:
            raise failed(
                "database_password",
                "The database server does not know the platform",
                f"{self.data} was made with another master key.",
                "Put the master key back that belongs to this data folder.",
            )

    async def _ask(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self.admin_url.reveal(), connect_timeout=5
        )
        async with connection:
            await connection.execute("SELECT 1")


def ordinary_user() -> Account | None:
    """Return who the server runs as when we are root, whom PostgreSQL refuses; else ``None``.

    The account ``postgres`` where there is one, else ``nobody``. Raises a FAILED fault when the
    system has neither.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return account.pw_uid, account.pw_gid
    raise failed(
        "no_ordinary_user",
        "Nobody can run the database server",
        "PostgreSQL does not run as root, and there is no account postgres or nobody.",
        "useradd --system postgres",
    )
