"""Plays the keeper for a parent: starts it, orders forks, and is the one they fall to."""

import ctypes
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from house import PATIENCE, Instance, launching, listen
from orphan import Process

PR_SET_CHILD_SUBREAPER = 36
CREDENTIALS = struct.Struct("3i")
SERVICE = ("asgi", "service:app")


def adopt_orphans(adopt: bool) -> None:
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0) == 0


@dataclass
class Gate:
    """What the keeper hears from a process before it is a service."""

    socket: socket.socket

    def hear(self) -> tuple[bytes, int]:
        """The next word and the pid of who said it; an empty one when the gate was closed."""
        data, ancillary, *_ = self.socket.recvmsg(4096, socket.CMSG_SPACE(CREDENTIALS.size))
        return data, CREDENTIALS.unpack(ancillary[0][2])[0] if data else 0


class Parent:
    """A running parent."""

    def __init__(self, folder: Path, imports: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        self.forks, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        notices, address = _notices(folder / "parent.notify")
        with theirs:
            process = subprocess.Popen(
                launching([theirs.fileno()], "codestore_sdk.preload", str(imports)),
                cwd=folder,
                env={
                    **os.environ,
                    "LISTEN_FDS": "1",
                    "LISTEN_FDNAMES": "forks",
                    "NOTIFY_SOCKET": address,
                    "ONLY_THE_PARENTS": "1",
                    **environ,
                },
                pass_fds=[theirs.fileno()],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self.instance = Instance(process, folder / "none", notices)
        self.forked: list[Instance] = []

    def order(self, descriptors: dict[str, int], **fields: Any) -> Gate:
        """Send a packet; `fields` replace those of a service that can be started."""
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        ours.settimeout(PATIENCE)
        packet = {
            "argv": [sys.executable, "-m", "codestore_sdk.serve", *SERVICE],
            "env": {},
            "cwd": str(self.folder),
            "umask": 0o027,
            "keeper": os.getpid(),
            "death_signal": int(signal.SIGKILL),
            "fds": ["gate", *descriptors],
            **fields,
        }
        with theirs:
            handed = [theirs.fileno(), *descriptors.values()]
            socket.send_fds(self.forks, [json.dumps(packet).encode()], handed)
        return Gate(ours)

    def fork(
        self,
        service: Path,
        *arguments: str,
        shared: socket.socket,
        groups: Sequence[tuple[str, int]] = (),
        **environ: str,
    ) -> Instance:
        """Fork a service and let it run."""
        number = len(self.forked)
        private = self.folder / f"{number}.fork"
        notices, address = _notices(self.folder / f"{number}.told")
        environ |= {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "private:shared", "NOTIFY_SOCKET": address}
        read, write = os.pipe()
        with listen(private) as listener:
            descriptors = [("stdout", write), ("stderr", write), *groups]
            descriptors += [("listener", listener.fileno()), ("another", shared.fileno())]
            names = [name for name, _ in descriptors]
            gate = self.order(
                {f"{place} {name}": each for place, (name, each) in enumerate(descriptors)},
                fds=["gate", *names],
                argv=[sys.executable, "-m", "codestore_sdk.serve", *(arguments or SERVICE)],
                env=environ,
                cwd=str(service),
            )
        os.close(write)
        with gate.socket:
            word, pid = gate.hear()
            assert word == b"+", word
            gate.socket.send(b"\n")
        instance = Instance(Process(pid, read), private, notices)
        self.forked.append(instance)
        return instance

    def close(self) -> None:
        for instance in self.forked:
            instance.process.close()
            instance.notices.close()
        self.forks.close()
        self.instance.process.kill()
        with suppress(ValueError):  # its output may have been read already
            self.instance.process.communicate()
        self.instance.notices.close()


def _notices(path: Path) -> tuple[socket.socket, str]:
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(str(path))
    return notices, str(path)


class Nursery:
    """Parents and their forks, for one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shared_path = folder / "nursery.sock"
        self.shared = listen(self.shared_path)
        self._parents: list[Parent] = []

    def start(self, imports: list[Any] | Path, **environ: str) -> Parent:
        """Start a parent without waiting for it."""
        place = self.folder / f"{len(self._parents)}.parent"
        place.mkdir()
        if isinstance(imports, list):
            (place / "imports").write_text(json.dumps(imports))
            imports = place / "imports"
        parent = Parent(place, imports, environ)
        self._parents.append(parent)
        return parent

    def load(self, imports: list[Any] | Path, **environ: str) -> Parent:
        parent = self.start(imports, **environ)
        parent.instance.expect("READY=1\nSTATUS=loaded")
        return parent

    def helper(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """A process that plays the keeper in our place."""
        return subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        for parent in self._parents:
            parent.close()
        self.shared.close()
