"""What a child of the keeper says of itself: systemd's ``sd_notify``, the sending side."""

import contextlib
import socket
from pathlib import Path

from codestore.keeper.rundir import RunDir


def say(run: Path, *, status: str, ready: bool = False) -> None:
    """Tell the keeper of ``run`` one line about us. Never raises: nobody may listen any more."""
    lines = [f"STATUS={' '.join(status.split())}", *(["READY=1"] if ready else [])]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        with contextlib.suppress(OSError):
            sender.sendto("\n".join(lines).encode(), str(RunDir(run).notify))
