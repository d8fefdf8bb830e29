"""Makes the folder of the embedded server, once, and looks after it before a start."""

import fcntl
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from codestore.databases.folders import Account, make_folder
from codestore.domain.faults import Fault, failed
from codestore.domain.secret import Secret

ADMIN: Final = "postgres"
ENVIRONMENT: Final = {"LC_ALL": "C", "TZ": "UTC"}
_TIMEOUT: Final = 120.0  # seconds; it takes less than one on a healthy disk


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes folders with these binaries, as this user (``None``: the one we are)."""

    binaries: Path
    user: Account | None

    def make(self, data: Path, password: Secret) -> None:
        """Make ``data`` for a server whose admin has this password.

        It is made beside its place and renamed, so that a kill in the middle leaves nothing that
        looks like a database. Raises a FAILED fault with what initdb said.
        """
        fresh = data.with_name(f"{data.name}.new")
        with _alone(data.parent) as lock:
            if data.exists() and any(data.iterdir()):
                return  # somebody else was just making it
            shutil.rmtree(fresh, ignore_errors=True)
            make_folder(fresh, self.user, 0o700)
            self._initdb(fresh, password, lock)
            if data.exists():
                data.rmdir()
            fresh.rename(data)
        threading.Thread(target=_sync, args=(data,), name="sync database", daemon=True).start()

    def check(self, data: Path) -> None:
        """Raise a FAILED fault unless these binaries can serve an existing folder."""
        owner = data.stat().st_uid
        if owner != (self.user[0] if self.user else os.geteuid()):
            raise _refused(
                "folder_owner",
                f"{data} belongs to user {owner}, who is not the one that PostgreSQL runs as.",
                "Start the platform as the user who made it, or choose another data folder.",
            )
        file = data / "PG_VERSION"
        if not file.exists():
            raise _refused(
                "not_a_database",
                f"{data} holds something else than a database.",
                "Choose another data folder.",
            )
        theirs, ours = file.read_text().strip(), self._major()
        if theirs != ours:
            raise _refused(
                "database_version",
                f"{data} was made by PostgreSQL {theirs}, this is PostgreSQL {ours}.",
                f"Install a codestore with PostgreSQL {theirs}, or move the data with pg_dump.",
            )

    def _initdb(self, folder: Path, password: Secret, lock: int) -> None:
        command = (
            str(self.binaries / "initdb"),
            f"--pgdata={folder}",
            f"--username={ADMIN}",
            "--encoding=UTF8",
            # PostgreSQL's own C.UTF-8: no upgrade of the system's C library breaks an index.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--auth=scram-sha-256",
            "--pwfile=/dev/stdin",
            "--no-instructions",
            "--no-sync",  # see _sync
            # Given, so that they are not searched for by starting servers: a third of the time.
            "--set=max_connections=100",
            "--set=shared_buffers=64MB",
        )
        uid, gid = self.user or (None, None)
        with _pipe(password, self.user) as stdin:
            ended = subprocess.run(
                command,
                stdin=stdin,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT,
                env=ENVIRONMENT,
                cwd="/",
                pass_fds=(lock,),
                user=uid,
                group=gid,
                extra_groups=None if uid is None else (),
                umask=0o077,
            )
        if ended.returncode != 0:
            raise _refused(
                "initdb_failed", _why(ended), "See that the disk has space and is whole."
            )

    def _major(self) -> str:
        command = (str(self.binaries / "postgres"), "--version")
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_TIMEOUT)
        return told.stdout.split()[-1].partition(".")[0]


def clear_stale_locks(data: Path, socket: Path) -> None:
    """Remove the server's lock files when the process they name is a stranger with a used number.

    PostgreSQL itself tells a dead process, but takes any living one of its user for a server and
    will not start. Nothing is removed while any PostgreSQL works in this folder: the files also
    keep a second server from starting beside orphans of the first.
    """
    for file in (data / "postmaster.pid", socket.with_name(f"{socket.name}.lock")):
        with suppress(FileNotFoundError, IndexError, ValueError):
            pid = int(file.read_text().splitlines()[0])
            if psutil.pid_exists(pid) and not any(_works_in(data, held) for held in _processes()):
                file.unlink(missing_ok=True)


def _processes() -> list[psutil.Process]:
    return [held for held in psutil.process_iter(["name"]) if held.info["name"] == "postgres"]


def _works_in(data: Path, process: psutil.Process) -> bool:
    """Whether a server's working folder is ``data``; if that cannot be seen, assume it."""
    try:
        return Path(process.cwd()) == data.resolve()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return process.uids().real == data.stat().st_uid


@contextmanager
def _pipe(password: Secret, user: Account | None) -> Iterator[int]:
    """Lend a pipe with the password in it, readable by ``user``: no disk and no argv sees it."""
    read, write = os.pipe()
    try:
        os.write(write, password.reveal().encode() + b"\n")
        os.close(write)
        if user is not None:
            os.fchown(read, *user)  # it is opened anew, by name, as that user
        yield read
    finally:
        os.close(read)


def _why(ended: "subprocess.CompletedProcess[str]") -> str:
    """Return the line in which initdb, or the server that it runs, says what went wrong."""
    said = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
    return next((line for line in said if re.search("error:|FATAL:|PANIC:", line)), said[-1])


@contextmanager
def _alone(folder: Path) -> Iterator[int]:
    """Keep others from making a database in this folder; lend the lock, to be inherited.

    An initdb that outlives whoever started it goes on holding it, and is waited for.
    """
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def _sync(data: Path) -> None:
    """Write a new database to the disk, beside the server that already runs.

    initdb would do it before anybody may connect, which takes seconds on a busy disk. What the
    system holds in memory outlives every process: only a loss of power within these seconds can
    hurt, and then a database that was just made and has to be made again. If the process ends
    first, the system writes the files by itself soon after.
    """
    for folder, _, files in os.walk(data):
        for name in (*files, "."):
            _flush(Path(folder, name))
    _flush(data.parent)  # and the rename


def _flush(path: Path) -> None:
    with suppress(OSError):  # the server removes files as it runs
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _refused(code: str, detail: str, hint: str) -> Fault:
    return failed(code, "The database server cannot be started", detail, hint)
