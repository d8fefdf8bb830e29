"""Whether a user can reach a folder: every folder above it must let them through."""

import os
import stat
from pathlib import Path

from codestore.domain.faults import Fault, failed

Account = tuple[int, int]
"""A user id and a group id."""


def allows(path: Path, user: Account, wanted: int) -> bool:
    """Whether the mode of ``path`` gives ``user`` all of ``wanted`` (bits of ``0o7``)."""
    held = path.stat()
    uid, gid = user
    if uid == 0:
        return True
    shift = 6 if held.st_uid == uid else 3 if held.st_gid == gid else 0
    return stat.S_IMODE(held.st_mode) >> shift & wanted == wanted


def barrier(path: Path, user: Account | None) -> Path | None:
    """Return the first folder on the way to ``path`` that keeps ``user`` out, if there is one.

    ``path`` itself and folders that do not exist yet do not count. ``None`` is who we are.
    """
    account = user or (os.geteuid(), os.getegid())
    for folder in reversed(path.absolute().parents):
        if not folder.exists():
            return None
        if not allows(folder, account, 0o1):
            return folder
    return None


def require_reachable(path: Path, user: Account | None) -> None:
    """Raise a FAILED fault that names the folder which keeps ``user`` from ``path``."""
    closed = barrier(path, user)
    if closed is not None:
        raise unreachable(path, closed, user)


def unreachable(path: Path, closed: Path, user: Account | None) -> Fault:
    """Build the fault for a folder that the database server cannot enter."""
    who = f"user {user[0]}" if user else "this user"
    return failed(
        "folder_unreachable",
        "The database server cannot reach its folder",
        f"PostgreSQL runs as {who}, who may not enter {closed}, which is above {path}.",
        f"Let others pass (chmod o+x {closed}), or choose another data folder.",
    )


def make_way(path: Path, user: Account | None) -> None:
    """Make the folders above ``path`` that are missing, so that ``user`` may pass through them."""
    for folder in reversed(path.absolute().parents):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            if user is not None:
                folder.chmod(0o711)  # whatever our umask takes away


def make_folder(path: Path, user: Account | None, mode: int) -> None:
    """Make a folder (and those above it), with exactly this mode, owned by ``user``."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    if user is not None:
        os.chown(path, *user)
