"""A real platform for a test or a bench: its own folder, its own port, driven by ``cs``.

Whoever calls it says ``verify=False``: nobody speaks TLS here, and to read the certificates of all
the world takes each new client 28 ms of a core.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.support.ports import free_port
from tests.support.ready import Ready

ROOT = Path(__file__).parents[2]
CS = Path(sys.executable).with_name("cs")
EXAMPLES = ROOT / "examples"
KEY = "x-user-authorization"


@dataclass
class Platform:
    """Start it with ``up``; ``close`` ends it and deletes its folder.

    ``hurried`` is for tests: commands need no start of their own, and what is written may be lost
    with the machine.
    """

    port: int = field(default_factory=free_port)
    home: Path = field(
        default_factory=lambda: Path(tempfile.mkdtemp(prefix="cs-", dir=tempfile.gettempdir()))
    )

    api_rate: int = 100_000  # tests are quicker than people
    hurried: bool = False
    _ready: Ready | None = None

    @property
    def data(self) -> Path:
        return self.home / "data"

    def up(self) -> None:
        if os.geteuid() == 0:
            self.home.chmod(0o711)  # PostgreSQL's ordinary user passes through
        if self.hurried:
            self._ready = self._ready or Ready()
        self.cs("up", "--detach", "--port", str(self.port), timeout=90)
        if self.hurried:
            self._spare_the_disk()

    def _spare_the_disk(self) -> None:
        server = self.data / "postgres"
        if (server / "postmaster.pid").exists():  # else it is a server of somebody else's
            with (server / "postgresql.auto.conf").open("a") as settings:
                settings.write("fsync = off\n")
            os.kill(int((server / "postmaster.pid").read_text().split()[0]), signal.SIGHUP)

    def close(self) -> None:
        self.run("down", timeout=60)
        shutil.rmtree(self.home, ignore_errors=True)
        if self._ready is not None:
            self._ready.close()

    def environment(self) -> dict[str, str]:
        own = {
            "CODESTORE_DATA": str(self.data),
            "CODESTORE_API_RATE": str(self.api_rate),
            "HOST_ONLY": "must not be seen by a service",
        }
        return {**os.environ, **own}

    def run(
        self,
        *arguments: str,
        cwd: Path | None = None,
        timeout: float = 120,
        typed: str | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run ``cs`` in a pipe, as a script would; nothing is asked. ``typed`` goes in there."""
        if self._ready is not None:
            place = cwd or self.home
            return self._ready.run(arguments, place, self.environment(), typed or "", timeout)
        return subprocess.run(
            [str(CS), *arguments],
            cwd=cwd or self.home,
            env=self.environment(),
            input=typed or "",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def cs(
        self,
        *arguments: str,
        cwd: Path | None = None,
        timeout: float = 120,
        typed: str | None = None,
    ) -> Any:
        """Run ``cs`` with ``-o json``; it must succeed; return what it printed."""
        done = self.run(*arguments, "-o", "json", cwd=cwd, timeout=timeout, typed=typed)
        if done.returncode != 0:
            logs = self.data / "logs" / "control.log"
            tail = logs.read_text()[-3000:] if logs.exists() else ""
            said = "\n".join((done.stdout, done.stderr, tail))
            raise AssertionError(f"cs {' '.join(arguments)}: exit {done.returncode}\n{said}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def refused(self, *arguments: str, cwd: Path | None = None, code: int = 1) -> Any:
        """Run ``cs`` with ``-o json``; it must be refused; return the problem."""
        done = self.run(*arguments, "-o", "json", cwd=cwd)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert not done.stdout.strip(), done.stdout
        lines = done.stderr.strip()
        return json.loads(lines[lines.index("{") :])

    def instances(self, deployment: str) -> list[psutil.Process]:
        """Return the keeper's children of a deployment; the home of each is called as that is."""
        keeper = psutil.Process(self.status()["processes"]["keeper"])
        found = []
        for child in keeper.children():
            with suppress(psutil.Error):  # it ends at this moment
                if Path(child.environ().get("HOME", "")).parent.name == deployment:
                    found.append(child)
        return found

    def copy(self, example: str, name: str | None = None) -> Path:
        """Copy an example's folder, to be changed; ``name`` replaces the service's."""
        target = self.home / (name or example)
        shutil.copytree(
            EXAMPLES / example, target, ignore=shutil.ignore_patterns(".venv", "__pycache__")
        )
        if name is not None:
            manifest = target / "codestore.yaml"
            text = manifest.read_text().replace(f"service: {example}", f"service: {name}")
            manifest.write_text(text)
        return target

    def create(self, name: str, *arguments: str) -> tuple[Path, Any]:
        """Create a service from a template; return its folder and what ``cs`` said."""
        folder = self.home / name
        return folder, self.cs("service:create", name, "--dir", str(folder), *arguments)

    def status(self) -> Any:
        return self.cs("status")
