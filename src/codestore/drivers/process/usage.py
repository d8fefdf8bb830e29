"""What files of a deployment take on the disk: as allocated, whatever their length claims.

Also what was deleted and is still open, which no folder shows. Whoever is measured may change
everything meanwhile, and wishes to mislead: no link is followed, and what cannot be looked at is a
reason in itself.
"""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MOST_FILES: Final = 200_000
"""Files and folders that a deployment may have."""
_LONGEST: Final = 3500  # characters of a path; the system follows none longer than 4096
_BLOCK: Final = 512  # bytes, as st_blocks counts
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Usage:
    """Bytes and files. ``hidden`` says why some could not be counted, if so."""

    size: int = 0
    files: int = 0
    hidden: str = ""
    _linked: set[tuple[int, int]] = field(default_factory=set)

    def add(self, status: os.stat_result) -> None:
        """Count a file; one that is met by several names, once."""
        self.files += 1
        if not stat.S_ISDIR(status.st_mode) and status.st_nlink != 1:
            key = status.st_dev, status.st_ino
            if key in self._linked:
                return
            self._linked.add(key)
        self.size += status.st_blocks * _BLOCK

    def excess(self, most: int) -> str:
        """Return why this is more than ``most`` bytes, or more than anybody may have, if so."""
        if self.size > most:
            return f"its files take {_shown(self.size)}, and may take {_shown(most)}"
        if self.files > MOST_FILES:
            return f"it has more than {MOST_FILES} files"
        return self.hidden


def measure(folders: Iterable[Path], most: int, pids: Iterable[int] = ()) -> Usage:
    """Measure folders, and what ``pids`` hold that was deleted there; stop counting at ``most``."""
    usage = Usage()
    waiting = [str(folder) for folder in folders]
    devices = set()
    for folder in waiting:
        with suppress(OSError):
            devices.add(Path(folder).stat().st_dev)
    for pid in pids:
        _add_deleted(usage, pid, devices)
    while waiting and not usage.excess(most):
        folder = waiting.pop()
        if len(folder) > _LONGEST:
            usage.hidden = "its folders are too deep to be looked at"
            break
        try:
            waiting += _add_folder(usage, folder)
        except (FileNotFoundError, NotADirectoryError):  # it has gone, or is no folder any more
            continue
        except OSError as error:
            usage.hidden = f"a folder of it cannot be looked at: {error.strerror}"
    return usage


def _add_folder(usage: Usage, folder: str) -> list[str]:
    """Count what is in a folder; return the folders in it."""
    inside = []
    descriptor = os.open(folder, _OPEN)
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    usage.add(entry.stat(follow_symlinks=False))
                    if entry.is_dir(follow_symlinks=False):
                        inside.append(f"{folder}/{entry.name}")
                if usage.files > MOST_FILES:
                    break
    finally:
        os.close(descriptor)
    return inside


def _add_deleted(usage: Usage, pid: int, devices: set[int]) -> None:
    place = f"/proc/{pid}/fd"
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            with suppress(OSError):
                status = entry.stat()  # of what is open, not of a link to it
                gone = stat.S_ISREG(status.st_mode) and status.st_nlink == 0
                if gone and status.st_dev in devices:
                    usage.add(status)


def cells() -> dict[str, list[int]]:
    """Return who is in which process namespace, as far as we may know; nobody, without Linux."""
    found: dict[str, list[int]] = {}
    with suppress(OSError):
        for place in Path("/proc").iterdir():
            if place.name.isdigit():
                with suppress(OSError):
                    found.setdefault(cell_of(int(place.name)), []).append(int(place.name))
    return found


def cell_of(pid: int) -> str:
    """Return the name of a process's namespace. Raises ``OSError``."""
    return str(Path(f"/proc/{pid}/ns/pid").readlink())


def _shown(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
