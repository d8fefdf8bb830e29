"""What a child of the keeper says of itself: systemd's ``sd_notify``, the sending side."""

import contextlib
import socket
from pathlib import Path
from typing import Final

from codestore.keeper.rundir import RunDir

PATIENCE: Final = 2.0
"""Seconds. A system keeps ten datagrams for whoever reads them; when many start, there are more."""


def say(run: Path, *, status: str, ready: bool = False) -> None:
    """Tell the keeper of ``run`` one line about us; wait for room to say it, ``PATIENCE`` at most.

    Never raises: nobody may listen any more.
    """
    lines = [f"STATUS={' '.join(status.split())}", *(["READY=1"] if ready else [])]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(PATIENCE)
        with contextlib.suppress(OSError):
            sender.connect(str(RunDir(run).notify))  # or else the wait for room would end at once
            sender.send("\n".join(lines).encode())
