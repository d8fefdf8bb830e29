"""What a killed keeper left behind, and the sweep.

When a keeper dies, the kernel ends its children, but not *their* children. So it journals the
session of each child, and the next keeper of the run folder ends what still belongs to one. A pid
may have been used again by then, hence the start times and the boot id. Linux only: elsewhere
there is no ``/proc`` to compare with, start times are 0 and a sweep finds nobody.
"""

import contextlib
import json
import logging
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from codestore.keeper import processes

_log = logging.getLogger(__name__)

_MOST_LINES: Final = 4096
"""Lines beyond those of running children, after which the file is written anew."""


class Journal:
    """The sessions of running children: a line for each that begins or ends, in one small file.

    It is not synced to disk: it has to survive the keeper, not the machine. Appending costs
    microseconds, and a start of a child waits for it; now and then it is written anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sessions: dict[int, int] = {}
        self._lines = 0
        self._file = -1
        self._begin()

    def add(self, pid: int) -> None:
        """Note that this process leads a session of ours."""
        seen = processes.stat(pid)
        self._sessions[pid] = seen.start if seen else 0
        self._append({"pid": pid, "start": self._sessions[pid]})

    def remove(self, pid: int) -> None:
        """Note that the session has ended."""
        if self._sessions.pop(pid, None) is not None:
            self._append({"gone": pid})

    def close(self) -> None:
        """Remove the file: there is nothing to sweep."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._path.unlink(missing_ok=True)

    def _append(self, entry: Mapping[str, object]) -> None:
        if self._file < 0 or self._lines > _MOST_LINES + len(self._sessions):
            self._begin()
            return
        try:
            os.write(self._file, json.dumps(entry).encode() + b"\n")
            self._lines += 1
        except OSError as failure:
            self._fail(failure)

    def _begin(self) -> None:
        """Write all of it to a new file, which takes the place of the old one."""
        fresh = self._path.with_suffix(".new")
        entries: list[Mapping[str, object]] = [{"boot": processes.boot_id()}]
        entries += [{"pid": pid, "start": start} for pid, start in self._sessions.items()]
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        try:
            self._file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            os.write(self._file, b"".join(json.dumps(each).encode() + b"\n" for each in entries))
            fresh.replace(self._path)
            self._lines = len(entries)
        except OSError as failure:
            self._fail(failure)

    def _fail(self, failure: OSError) -> None:
        # Worth a child only if the keeper is killed as well; a full disk is likelier.
        _log.warning("children are not journaled: %s", failure)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def sweep(path: Path, patience: float = 5.0) -> int:
    """SIGKILL whoever still belongs to a journaled session; return how many that were.

    Returns when they have gone, or after ``patience`` seconds. Call it with the run folder's lock
    held and before the event loop has work: it waits.
    """
    sessions = _read(path)
    killed: set[int] = set()
    deadline = time.monotonic() + patience
    while sessions and time.monotonic() < deadline:
        left = set(_survivors(sessions))
        if not left:
            break
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        killed |= left
        time.sleep(0.01)
    path.unlink(missing_ok=True)
    return len(killed)


def _read(path: Path) -> dict[int, int]:
    """Return start times by session, of this boot only. A last line that was cut short is left."""
    sessions: dict[int, int] = {}
    try:
        first, *lines = path.read_bytes().split(b"\n")[:-1]
        if json.loads(first)["boot"] != processes.boot_id():
            return {}
        for line in lines:
            entry = json.loads(line)
            if "gone" in entry:
                sessions.pop(int(entry["gone"]), None)
            else:
                sessions[int(entry["pid"])] = int(entry["start"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as broken:
        _log.warning("%s is not readable from a point on: %s", path, broken)
    return sessions


def _survivors(sessions: Mapping[int, int]) -> Iterator[int]:
    ours = os.getsid(0)  # a keeper may be started from inside a session it is to sweep
    for pid in processes.everyone():
        session = processes.session_of(pid)
        if session is None or session == ours or session not in sessions:
            continue
        if _is_left(pid, session, sessions[session]):
            yield pid


def _is_left(pid: int, session: int, start: int) -> bool:
    leader, member = processes.stat(session), processes.stat(pid)
    if member is None or member.state == "Z":
        return False
    # Nobody can get the leader's pid while its session lives. So: the same leader, or no leader.
    return leader.start == start if leader else member.start >= start
