"""A bare cold start: what the platform has spawned for a deployment, spawned by hand.

The same command in the same folder with the same variables, from the fork to the first answer.
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bench.common import PATIENCE, Line
from tests.support.platform import Platform
from tests.support.ports import free_port

POLL = 0.001  # seconds between two looks whether a port is open
Ask = Callable[[Line], None]
"""Asks once; raises AssertionError for a wrong answer."""


@dataclass(frozen=True, slots=True)
class Command:
    """What the platform has spawned for a deployment."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str


def command_of(platform: Platform, deployment: str) -> Command:
    """Read it off the running process."""
    found = platform.instances(deployment)
    assert found, f"no process of {deployment}"
    environment = found[0].environ()
    # Not the list of libraries: to write it is the platform's wish, and is done already.
    environment.pop("CODESTORE_IMPORTS", None)
    return Command(found[0].cmdline(), environment, found[0].cwd())


def cold_start(command: Command, ask: Ask, instances: int = 1) -> float:
    """Return the seconds from the (first) fork until every instance has answered at its socket."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        notify = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        notify.bind(str(folder / "notify"))
        places = [folder / f"{number}" for number in range(instances)]
        pairs = [
            [stack.enter_context(_listening(place.with_suffix(kind))) for kind in (".p", ".s")]
            for place in places
        ]
        began = time.time()
        for pair in pairs:
            stack.callback(_end, _fork(command, pair, str(folder / "notify")))
        for place in places:
            with closing(Line(f"unix:{place}.p")) as line:
                ask(line)
        return time.time() - began


def cold_start_on_port(command: Command, ask: Ask) -> float:
    """Return the seconds from the spawn until a program that is given a port has answered there."""
    port = free_port()
    program = shutil.which(command.arguments[0], path=command.environment["PATH"])
    assert program is not None, command.arguments
    with closing(Line(f"http://127.0.0.1:{port}")) as line:
        began = time.time()
        process = subprocess.Popen(
            command.arguments,
            executable=program,
            env={**command.environment, "PORT": str(port)},
            cwd=command.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            while True:
                try:
                    line.connect()
                    break
                except ConnectionRefusedError:
                    assert time.time() - began < PATIENCE and process.poll() is None
                    time.sleep(POLL)
            ask(line)
            return time.time() - began
        finally:
            process.kill()
            process.wait()


def _listening(place: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(place))
    made.listen(128)
    return made


def _fork(command: Command, sockets: Sequence[socket.socket], notify: str) -> int:
    """By hand, because LISTEN_PID is known only after the fork."""
    pid = os.fork()
    if pid == 0:
        _become(command, sockets, notify)
    return pid


def _become(command: Command, sockets: Sequence[socket.socket], notify: str) -> NoReturn:
    try:
        aside = [fcntl.fcntl(each.fileno(), fcntl.F_DUPFD_CLOEXEC, 64) for each in sockets]
        for place, each in enumerate(aside, start=3):
            os.dup2(each, place)
        os.chdir(command.folder)
        environment = {**command.environment, "NOTIFY_SOCKET": notify}
        environment["LISTEN_PID"] = str(os.getpid())
        os.execve(command.arguments[0], command.arguments, environment)
    finally:
        os._exit(127)


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
