"""Starts services the way the platform does: with sockets, a notify socket, and signals."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

PATIENCE = 30.0

# Puts sockets where socket activation has them and becomes the module: only the process itself
# knows the number that LISTEN_PID must have.
LAUNCH = """
import fcntl, os, sys
parked = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 20) for fd in sys.argv[1].split(",")]
for place, fd in enumerate(parked, start=3):
    os.dup2(fd, place)
os.closerange(3 + len(parked), 1000)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, "-m", *sys.argv[2:]])
"""


def launching(descriptors: Sequence[int], module: str, *arguments: str) -> list[str]:
    """The command that runs a module with these descriptors from 3 on."""
    handed = ",".join(map(str, descriptors))
    return [sys.executable, "-c", LAUNCH, handed, module, *arguments]


def listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(128)
    return listener


def appears(path: Path) -> None:
    """Wait until `path` is there; nobody tells when."""
    until = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < until, f"{path} was never written"
        time.sleep(0.005)


@dataclass
class Instance:
    """A running service, its private socket, and what it tells."""

    process: subprocess.Popen[str]
    private: Path
    notices: socket.socket
    told: list[str] = field(default_factory=list)

    def expect(self, notice: str) -> None:
        """Wait for a notification; fail with the service's output when it dies instead."""
        until = time.monotonic() + PATIENCE
        while notice not in self.told:
            if select.select([self.notices], [], [], 0.05)[0]:
                self.told.append(self.notices.recv(1024).decode())
            elif self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"never told {notice!r}, but {self.told}: {self.output()}")

    def signal(self, number: signal.Signals, notice: str) -> None:
        self.told.clear()
        self.process.send_signal(number)
        self.expect(notice)

    def accept(self) -> None:
        self.signal(signal.SIGUSR1, "STATUS=accepting")

    def withdraw(self) -> None:
        self.signal(signal.SIGUSR2, "STATUS=ready")

    def drain(self) -> None:
        self.signal(signal.SIGTERM, "STOPPING=1\nSTATUS=draining")

    def read_until(self, line: str) -> None:
        assert self.process.stdout is not None
        while self.process.stdout.readline() not in (line, ""):
            pass

    def left(self) -> int:
        return self.process.wait(PATIENCE)

    def output(self) -> str:
        """All it printed; waits for its end."""
        return self.process.communicate(timeout=PATIENCE)[0]


class House:
    """Holds the shared socket, and is the parent of instances, as the platform's keeper is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shared = folder / "shared.sock"
        self._shared = listen(self.shared)
        self._instances: list[Instance] = []

    def start(self, service: Path, *arguments: str, **environ: str) -> Instance:
        """Start a service without waiting for it."""
        number = len(self._instances)
        private = self.folder / f"{number}.sock"
        notify = self.folder / f"{number}.notify"
        notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notices.bind(str(notify))
        with listen(private) as listener:
            handed = (listener.fileno(), self._shared.fileno())
            process = subprocess.Popen(
                launching(handed, "codestore_sdk.serve", *arguments),
                cwd=service,
                env={
                    **os.environ,
                    "LISTEN_FDS": "2",
                    "LISTEN_FDNAMES": "private:shared",
                    "NOTIFY_SOCKET": str(notify),
                    **environ,
                },
                pass_fds=handed,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        instance = Instance(process, private, notices)
        self._instances.append(instance)
        return instance

    def ready(self, service: Path, *arguments: str, **environ: str) -> Instance:
        instance = self.start(service, *arguments, **environ)
        instance.expect("READY=1\nSTATUS=ready")
        return instance

    def close(self) -> None:
        for instance in self._instances:
            instance.process.kill()
            instance.process.communicate()
            instance.notices.close()
        self._shared.close()


@contextmanager
def client(path: Path, connections: int = 100) -> Iterator[httpx.Client]:
    limits = httpx.Limits(max_connections=connections, keepalive_expiry=60)
    transport = httpx.HTTPTransport(uds=str(path), limits=limits)
    with httpx.Client(transport=transport, base_url="http://service", timeout=PATIENCE) as found:
        yield found
