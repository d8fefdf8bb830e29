"""Folders of control groups: where they may be made, what a killed keeper has left, their end.

Each keeper makes one folder below its own group in every hierarchy it uses (version 2 has one,
version 1 one for each controller), and in it one for each child.
"""

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from codestore.keeper import processes

_PREFIX: Final = "codestore-"
_ASIDE: Final = "keeper"
_SMALL: Final = 64 * 1024  # bytes
_made: set[Path] = set()  # by this process


def own_group(controller: str | None = None) -> Path | None:
    """Return the folder of our own group: of version 2, or of this controller in version 1.

    ``None`` where there is no such hierarchy.
    """
    own = next(filter(None, (_below(line, controller) for line in _lines("/proc/self/cgroup"))), "")
    for line in _lines("/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        if own and _is_mount(after.split(), controller):
            top, mounted = (_unescaped(each) for each in before.split()[3:5])
            inside = Path(own).relative_to(top) if Path(own).is_relative_to(top) else Path()
            return Path(mounted) / inside
    return None


def make_root(own: Path) -> Path:
    """Return this keeper's folder below a group; what is left of others goes. Raises ``OSError``.

    Idempotent.
    """
    root = own / f"{_PREFIX}{os.getpid()}"
    if root not in _made:
        _clear(own)
        root.mkdir(exist_ok=True)
        _made.add(root)
    return root


def hand_down(own: Path, root: Path, controllers: Iterable[str]) -> None:
    """Have controllers of a group at hand below a keeper's folder in it (version 2).

    A group that hands any down may hold no process itself, unless it is the topmost: so we step
    aside, with whoever we have started. Raises ``OSError`` where that is not enough.
    """
    words = " ".join(f"+{each}" for each in controllers)
    try:
        _control(own, words)
    except OSError as failure:
        if failure.errno != errno.EBUSY:
            raise
        aside = root / _ASIDE
        aside.mkdir(exist_ok=True)
        _move([pid for pid in members(own) if os.getpid() in processes.lineage(pid)], aside)
        try:
            _control(own, words)
        except OSError:  # others are in it, too
            _move(members(aside), own)
            aside.rmdir()
            raise
    _control(root, words)


def take_back(own: Path, root: Path, controllers: Iterable[str]) -> None:
    """Undo ``hand_down`` as far as we had to step aside; its folders for children are gone."""
    aside = root / _ASIDE
    if not aside.exists():
        return
    words = " ".join(f"-{each}" for each in controllers)
    with contextlib.suppress(OSError):  # somebody else is in need of them
        _control(root, words)
        _control(own, words)
        _move(members(aside), own)
        aside.rmdir()


def members(folder: Path) -> set[int]:
    """Return who is in a group. Raises ``OSError``."""
    return {int(each) for each in (folder / "cgroup.procs").read_text().split()} - {0}


def read(file: str) -> str:
    """Return what is in a small file, as quickly as can be. Raises ``OSError``."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _SMALL).decode()
    finally:
        os.close(descriptor)


def remove_each(folders: set[Path]) -> None:
    """Remove folders, and take from the set those that have gone: others are in use still."""
    for folder in tuple(folders):
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:  # somebody is in it still
            continue
        folders.discard(folder)


def remove(root: Path) -> None:
    """Remove a keeper's folder with those in it, as far as nobody is in them."""
    _made.discard(root)
    with contextlib.suppress(OSError):
        remove_each({folder for folder in root.iterdir() if folder.is_dir()})
    with contextlib.suppress(OSError):
        root.rmdir()


def _clear(own: Path) -> None:
    """End what is left of keepers that have gone, and remove their folders.

    One of them may have had the process id that is ours now.
    """
    for root in own.glob(f"{_PREFIX}*"):
        pid = root.name.removeprefix(_PREFIX)
        gone = not Path(f"/proc/{pid}").exists() or pid == str(os.getpid())
        if pid.isdigit() and gone:
            _kill(root)
            remove(root)


def _kill(root: Path, patience: float = 1.0) -> None:
    """End whoever is left in a keeper's folder and below it, also who has left its session."""
    until = time.monotonic() + patience
    with contextlib.suppress(OSError):  # version 1 has no such file, nor has an older kernel
        (root / "cgroup.kill").write_text("1")
    while (left := _everybody(root)) and time.monotonic() < until:
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _control(folder: Path, words: str) -> None:
    (folder / "cgroup.subtree_control").write_text(words)


def _move(pids: Iterable[int], folder: Path) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            (folder / "cgroup.procs").write_text(str(pid))


def _everybody(root: Path) -> set[int]:
    found: set[int] = set()
    for folder in (root, *root.glob("*/")):
        with contextlib.suppress(OSError):
            found |= members(folder)
    return found


def _below(line: str, controller: str | None) -> str | None:
    """Return our own group, as a line of ``/proc/self/cgroup`` has it below its mount."""
    number, controllers, path = line.split(":", 2)
    if controller is None:
        return path if (number, controllers) == ("0", "") else None
    return path if controller in controllers.split(",") else None


def _is_mount(described: list[str], controller: str | None) -> bool:
    """Whether this is the mount of the hierarchy: its type, source and options are given."""
    if controller is None:
        return described[0] == "cgroup2"
    return described[0] == "cgroup" and controller in described[-1].split(",")


def _lines(path: str) -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield from Path(path).read_text().splitlines()


def _unescaped(text: str) -> str:
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
