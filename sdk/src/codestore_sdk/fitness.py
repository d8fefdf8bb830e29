"""Whether a process can be forked and its copy be a service of its own."""

import threading
from collections.abc import Mapping
from pathlib import Path

SELF = Path("/proc/self")


def open_descriptors() -> Mapping[int, str]:
    """Return what this process has open, by descriptor, as far as the system tells."""
    found = {}
    for entry in _entries("fd"):
        try:
            found[int(entry.name)] = str(entry.readlink())
        except OSError:  # the one that the folder itself was read through
            continue
    return found


def why_unfit(before: Mapping[int, str]) -> str | None:
    """Say why this process cannot be forked; `before` is what it had open before any import.

    Of the threads only the caller's would be in the copy, and with what the others held locked.
    A descriptor's other end, or its place in a file, would be shared by all copies.
    """
    if threading.active_count() > 1 or len(_entries("task")) > 1:
        return "a library starts a thread when it is imported"
    opened = set(open_descriptors().items()) - set(before.items())
    if any(target.startswith("socket:") for _, target in opened):
        return "a library opens a socket when it is imported"
    if opened:
        return "a library keeps a file open when it is imported"
    return None


def _entries(folder: str) -> list[Path]:
    try:
        return list((SELF / folder).iterdir())
    except OSError:  # not Linux
        return []
