"""Handing a folder to whoever builds in it, and taking over what was made there.

What a build leaves is not believed: it may hold whatever its user could make. Folders are made
ours from the top, so that nobody else can change what has been looked at.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from codestore.artifacts.refusals import build_failed
from codestore.domain.names import shown

MOST_BYTES = 8 << 30
MOST_ENTRIES = 500_000
ROOM = 1 << 30  # bytes that a build leaves free on a disk


def hand_over(folder: Path, user: tuple[int, int] | None) -> None:
    """Give a folder of ours, with everything in it, to a user; ``None``: we are who builds."""
    if user is None:
        return
    for place, _, files in os.walk(folder):
        for path in (place, *(f"{place}/{name}" for name in files)):
            os.chown(path, *user, follow_symlinks=False)


def take_over(environment: Path, python: Path) -> None:
    """Make an environment ours, for everybody to read and nobody else to change.

    ``python`` is the one program outside that links may lead to. Raises a ``build_failed`` fault
    for what no environment has: other links that lead out, files with a second name, devices, more
    bytes or files than ``MOST_BYTES`` and ``MOST_ENTRIES``.
    """
    root, python = Path(os.path.realpath(environment)), Path(os.path.realpath(python))
    size = count = 0
    for place, folders, files, folder in os.fwalk(environment, onerror=_unreadable):
        os.fchown(folder, os.geteuid(), os.getegid())
        os.fchmod(folder, 0o755)
        for name in (*folders, *files):
            status = os.lstat(name, dir_fd=folder)
            size, count = size + status.st_blocks * 512, count + 1
            if size > MOST_BYTES or count > MOST_ENTRIES:
                most = f"{MOST_BYTES >> 30} GiB, or of {MOST_ENTRIES} files"
                raise build_failed(f"They take more than {most}.", "")
            if problem := _adopted(folder, name, status) or _strays(place, name, root, python):
                told = Path(place, name).relative_to(environment)
                raise build_failed(f'"{shown(str(told))}" {problem}.', "")


def provide_cache(cache: Path, user: tuple[int, int] | None) -> None:
    """Make the folder that uv keeps what it has downloaded in, unless it is there."""
    if not cache.is_dir():
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        hand_over(cache, user)


def taken(folder: Path) -> int:
    """Return the bytes that files below a folder take."""
    size = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with suppress(FileNotFoundError):
                size += Path(place, name).lstat().st_blocks * 512
    return size


def has_room(folder: Path) -> bool:
    """Whether so much is free on the disk of a folder that a build may go on."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize > ROOM


def _adopted(folder: int, name: str, status: os.stat_result) -> str | None:
    """Make a file ours; return what is wrong with it. Folders are met when they are walked."""
    if stat.S_ISLNK(status.st_mode):
        os.chown(name, os.geteuid(), os.getegid(), dir_fd=folder, follow_symlinks=False)
        return None
    if stat.S_ISDIR(status.st_mode):
        return None
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        return "is a device, a pipe or the like, or has a second name"
    # Ours first: that takes a set-user-id bit away, and nobody else can put it back.
    os.chown(name, os.geteuid(), os.getegid(), dir_fd=folder, follow_symlinks=False)
    os.chmod(name, 0o755 if status.st_mode & stat.S_IXUSR else 0o644, dir_fd=folder)
    return None


def _unreadable(error: OSError) -> None:
    raise build_failed(f"A folder of theirs cannot be read: {error.strerror}.", "") from error


def _strays(place: str, name: str, root: Path, python: Path) -> str | None:
    """Return what is wrong with where a link leads; nothing is wrong with other things."""
    path = Path(place, name)
    if not path.is_symlink():
        return None
    led = Path(os.path.realpath(path))
    return None if led == python or led.is_relative_to(root) else "leads out of the environment"
