"""The run folder: which paths there are, who may pass, and the lock on it.

Where the keeper is root, children may run as other users and must reach the sd_notify socket by
its path, hence the modes: the folder lets pass (0711) and the socket in ``n/`` takes from anybody
(who it is from is told by the kernel). All else stays closed: ``s/`` is 0700 because children get
listening sockets by inheritance, never by path. Otherwise everything is 0700.
"""

import fcntl
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from codestore.keeper.errors import IN_USE, START, TOO_LONG, KeeperError

LONGEST_PATH: Final = 107
"""Bytes in a Unix socket's path, at most; the kernel's limit."""
_ASIDE: Final = "old-"
_PATIENCE: Final = 3.0  # seconds for the lock


@dataclass(frozen=True, slots=True)
class RunDir:
    """The paths of one keeper, below ``root``."""

    root: Path

    @property
    def socket(self) -> Path:
        """Where the protocol is spoken."""
        return self.root / "keeper.sock"

    @property
    def sockets(self) -> Path:
        """The folder of the held listening sockets."""
        return self.root / "s"

    @property
    def notify(self) -> Path:
        """The sd_notify socket."""
        return self.root / "n" / "notify.sock"

    @property
    def notify_mode(self) -> int:
        """The file mode of the sd_notify socket."""
        return 0o666 if _serves_others() else 0o600

    @property
    def journal(self) -> Path:
        """What the next keeper sweeps if this one is killed."""
        return self.root / "children.json"

    @property
    def cell(self) -> Path:
        """An empty folder, at which each cell is built out of everybody's sight."""
        return self.root / "cell"

    def lock(self) -> int:
        """Make the folder and take its lock; return the descriptor that holds it.

        Raises ``KeeperError``: ``start`` when another keeper holds it or the folder is not ours,
        ``too-long`` when sockets cannot be made there.
        """
        check_path(self.socket)
        check_path(self.notify)
        passable = 0o711 if _serves_others() else 0o700
        for folder, mode in (
            (self.root, passable),
            (self.root / "n", passable),
            (self.sockets, 0o700),
        ):
            folder.mkdir(mode=mode, parents=True, exist_ok=True)
            if folder.stat().st_uid != os.geteuid():
                raise KeeperError(START, f"{folder} belongs to another user")
            folder.chmod(mode)
        held = os.open(self.root / "keeper.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _locked(held):
            os.close(held)
            raise KeeperError(IN_USE, f"another keeper is running in {self.root}")
        return held

    def remove_stale(self) -> None:
        """Put away the sockets of a keeper that has gone. Call it with the lock held.

        The folder of held sockets is put aside as a whole and deleted later (``forget_stale``):
        where many files were just deleted, ext4 takes a millisecond to make each new one, because
        it looks for an inode that has been free for some seconds.
        """
        for path in (self.socket, self.notify):
            path.unlink(missing_ok=True)
        if any(self.sockets.iterdir()):
            self.sockets.rename(self.root / f"{_ASIDE}{time.monotonic_ns()}")
            self.sockets.mkdir(mode=0o700)

    def forget_stale(self) -> None:
        """Delete what was put aside. Takes its time; may be called from a thread."""
        for folder in self.root.glob(f"{_ASIDE}*"):
            shutil.rmtree(folder, ignore_errors=True)


def check_path(path: Path) -> Path:
    """Return ``path``. Raises ``KeeperError(too-long)`` when no Unix socket can have it."""
    size = len(bytes(path))
    if size > LONGEST_PATH:
        why = f"{path} has {size} bytes, a socket's path at most {LONGEST_PATH}"
        raise KeeperError(TOO_LONG, f"{why}: use a shorter run folder")
    return path


def _locked(held: int) -> bool:
    # A keeper that is just ending may hold it for a moment, or a child of one that was killed.
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)


def _serves_others() -> bool:
    return os.geteuid() == 0
