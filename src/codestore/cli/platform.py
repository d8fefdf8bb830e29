"""Starting the platform on this machine, and waiting until it answers."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from codestore.cli.client import Client
from codestore.cli.problems import CommandError, refused
from codestore.cli.profile import make_data_folder, read_profile
from codestore.cli.view import Document

_PAUSE = 0.02  # seconds between two looks
_PATIENCE = 60.0  # seconds for a start
_LOOK = 2.0  # seconds for one look
_RUNS_ALREADY = 75  # exit code of a platform that finds another one in its folder
_TAIL = 12  # lines of the logs that are shown when it fails


@dataclass(frozen=True, slots=True)
class Launch:
    """A platform to start; ``None`` is as the last time."""

    data: Path
    host: str | None
    port: int | None

    @property
    def command(self) -> list[str]:
        """The command that becomes the platform."""
        named = {"--host": self.host, "--port": self.port}
        said = [str(word) for pair in named.items() if pair[1] is not None for word in pair]
        return platform_command("up", self.data) + said

    @property
    def log(self) -> Path:
        """Where a detached platform prints."""
        return self.data / "logs" / "up.log"

    def last_lines(self) -> list[str]:
        """Return what it printed last, or else what the process behind the API did."""
        for file in (self.log, self.log.with_name("control.log")):
            lines = file.read_text(errors="replace").splitlines() if file.exists() else []
            if lines:
                return lines[-_TAIL:]
        return []


def platform_command(act: str, data: Path) -> list[str]:
    """Return the command that does something to the platform of a data folder."""
    return [sys.executable, "-m", "codestore", act, "--data", str(data)]


def running(data: Path) -> Document | None:
    """Return the status of the platform of a data folder; ``None`` when none is ready."""
    profile = read_profile(data)
    if profile is None:
        return None
    try:
        status: Document = Client(profile.url, profile.token, _LOOK).get("/api/status")
    except CommandError:  # not there yet, not there any more, or somebody else's
        return None
    return status if status["state"] == "ready" else None


def start_detached(launch: Launch) -> tuple[Document, float]:
    """Start a platform and wait until it is ready; return its status and how long it took."""
    started = time.monotonic()
    process = _start(launch)
    while time.monotonic() - started < _PATIENCE:
        if (found := running(launch.data)) is not None:
            return found, time.monotonic() - started
        if (code := process.poll()) not in (None, _RUNS_ALREADY):  # else the other is awaited
            raise _not_started(launch, f"It ended at once, with exit code {code}.")
        time.sleep(_PAUSE)
    raise _not_started(launch, f"It is not ready after {_PATIENCE:g} s; it goes on trying.")


def _start(launch: Launch) -> "subprocess.Popen[bytes]":
    make_data_folder(launch.data)
    launch.log.parent.mkdir(mode=0o700, exist_ok=True)
    log = os.open(launch.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            launch.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # what ends the terminal does not end the platform
        )
    finally:
        os.close(log)


def _not_started(launch: Launch, detail: str) -> CommandError:
    return refused(
        "not_started",
        "The platform did not start",
        "\n".join([detail, *launch.last_lines()]),
        "cs up shows all that it prints.",
        str(launch.log),
    )
