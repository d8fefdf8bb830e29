"""``python -m codestore up|down``: the start, and the end.

``up`` becomes the keeper, which starts the control process (``codestore.control``) and starts it
again whenever it ends; ``down`` asks the keeper of a data folder to end everything. People use
``cs up`` and ``cs down``. Kept light: neither waits for the whole platform to be imported.
"""

import argparse
import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from codestore.keeper.errors import DISCONNECTED, KeeperError
from codestore.keeper.protocol.client import KeeperClient
from codestore.settings import (
    choose,
    default_data,
    inherited_environment,
    let_pass,
    read_settings,
    run_folder,
)

API_SOCKET = "api"
RUNS_ALREADY = 75  # exit code, as the keeper's
GRACE = 10.0  # seconds for each order of processes
PATIENCE = 1.0  # seconds for a port that is just being let go of


def main() -> int:
    """Do what the first argument says; return the exit code."""
    parser = argparse.ArgumentParser("codestore")
    parser.add_argument("act", choices=["up", "down"])
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    given = parser.parse_args()
    data = (given.data or default_data()).absolute()
    if given.act == "up":
        _up(data, given.host, given.port)
    return asyncio.run(_down(data))


def _up(data: Path, host: str | None, port: int | None) -> NoReturn:
    """Prepare the folder and become the keeper."""
    run = run_folder(data)
    if _keeper_lives(run):
        sys.stderr.write(f"codestore: a platform runs in {data} already\n")
        sys.exit(RUNS_ALREADY)
    shared = 0o711 if os.geteuid() == 0 else 0o700  # the ordinary user passes through
    data.mkdir(mode=shared, parents=True, exist_ok=True)
    for folder in ("logs", "logs/services", "work", "artifacts", "uploads"):
        (data / folder).mkdir(mode=0o700, exist_ok=True)
    try:
        choice = choose(data, host, port)
    except ValueError as error:
        sys.exit(f"codestore: {error}")
    if os.geteuid() == 0:
        let_pass(data)
    taken = _taken(choice.host, choice.port)
    if taken:
        place = f"{choice.host}:{choice.port}"
        sys.exit(f"codestore: cannot listen on {place}: {taken}. Choose another: cs up --port N")
    run.mkdir(mode=shared, exist_ok=True)
    keeper = [sys.executable, "-m", "codestore.keeper", "--run", str(run)]
    keeper += ["--logs", str(data / "logs"), "--socket", API_SOCKET]
    for port in read_settings(data).local_ports:
        keeper += ["--reach", str(port)]
    keeper.append("--")
    control = [sys.executable, "-m", "codestore.control", "--data", str(data)]
    os.chdir(data)
    environment = inherited_environment()
    # Children of the control process are programs of their own: nothing of gRPC goes on in them.
    environment["GRPC_ENABLE_FORK_SUPPORT"] = "false"
    environment.setdefault("MALLOC_ARENA_MAX", "1")  # few threads, for years: better not scattered
    if not (data / "postgres").exists() and not read_settings(data).database_url:
        prepare = [sys.executable, "-m", "codestore.wiring.preparing", "--data", str(data)]
        silence = subprocess.DEVNULL
        subprocess.Popen(prepare, stdin=silence, stdout=silence, stderr=silence)
    os.execve(sys.executable, [*keeper, *control], environment)  # noqa: S606 - a list, no shell


def _keeper_lives(run: Path) -> bool:
    """Whether somebody answers where the keeper of this folder would."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(run / "keeper.sock"))
        except OSError:
            return False
    return True


def _taken(host: str, port: int) -> str | None:
    """Return why nobody could listen there now; said at once, it saves a minute of waiting.

    The gateway of a keeper that was killed dies a moment after it.
    """
    until = time.monotonic() + PATIENCE
    while (why := _refusal(host, port)) and time.monotonic() < until:
        time.sleep(PATIENCE / 20)
    return why


def _refusal(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            return str(error)
    return None


async def _down(data: Path) -> int:
    """Ask the keeper to end everything, and wait until it has."""
    path = run_folder(data) / "keeper.sock"
    try:
        async with await KeeperClient.connect(path) as client, client.events() as events:
            await client.shutdown(GRACE)
            async for _ in events:
                pass
    except KeeperError as error:
        if error.code != DISCONNECTED:
            sys.stderr.write(f"codestore: {error}\n")
            return 1
    if data not in path.parents:
        shutil.rmtree(path.parent, ignore_errors=True)  # what is in the temporary folder goes
    return 0


if __name__ == "__main__":
    sys.exit(main())
