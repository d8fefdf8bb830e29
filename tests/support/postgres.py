"""A real PostgreSQL server for tests: one per test session (and worker), gone with it.

Use the fixtures by importing them in a ``conftest.py``; no port and no path is fixed.
"""

import asyncio
import ctypes
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from codestore.databases.embedded import STOP_SIGNAL, EmbeddedServer, ordinary_user
from codestore.domain.secret import Secret

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def _die_with_parent() -> None:
    """End with pytest, however it ends: SIGQUIT is PostgreSQL's immediate shutdown."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


@dataclass
class RunningServer:
    """An embedded server and its process."""

    embedded: EmbeddedServer
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def log(self) -> Path:
        return self.embedded.data.with_name("log")

    def start(self) -> None:
        """Start it and wait until it answers."""
        uid, gid = self.embedded.user or (None, None)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                # What tests write need not outlive a loss of power, and their disk may be busy.
                [*self.embedded.command(), "-c", "fsync=off"],
                env=self.embedded.environment(),
                cwd=self.embedded.data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=uid,
                group=gid,
                extra_groups=None if uid is None else (),
                preexec_fn=_die_with_parent,
            )
        asyncio.run(self.embedded.ready(30))

    def stop(self, how: signal.Signals = signal.Signals[STOP_SIGNAL]) -> None:
        """End it and wait for that."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def database(self, name: str) -> Secret:
        """Return the admin's URL of a database that is made when it is not there."""
        with suppress(errors.DuplicateDatabase, errors.UniqueViolation):
            self.execute(f"CREATE DATABASE {name}")
        return self.embedded.url(name)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement as the admin and return its rows."""
        url = self.embedded.url(database).reveal()
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


def make_server() -> RunningServer:
    """Make a server in a folder of its own; it does not run yet."""
    folder = Path(tempfile.mkdtemp(prefix="cs-", dir="/tmp"))
    folder.chmod(0o755)
    server = EmbeddedServer(
        folder / "data", folder / "run", ordinary_user(), Secret("p@ss:w/ord %&?#é'\"")
    )
    asyncio.run(server.prepare())
    return RunningServer(server)


def remove_server(server: RunningServer) -> None:
    """Stop it at once and delete its folder."""
    server.stop(signal.SIGQUIT)
    shutil.rmtree(server.embedded.data.parent)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[RunningServer]:
    """The server of this session; do not stop it."""
    server = make_server()
    server.start()
    yield server
    remove_server(server)


@pytest.fixture
def own_server() -> Iterator[RunningServer]:
    """A server of this test alone, to stop and start."""
    server = make_server()
    server.start()
    yield server
    remove_server(server)
