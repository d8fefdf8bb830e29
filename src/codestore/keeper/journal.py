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

from codestore.keeper import processes

_log = logging.getLogger(__name__)


class Journal:
    """The sessions of running children, in one small file replaced at each change.

    It is not synced to disk: it has to survive the keeper, not the machine.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._boot = processes.boot_id()
        self._sessions: dict[int, int] = {}

    def add(self, pid: int) -> None:
        """Note that this process leads a session of ours."""
        seen = processes.stat(pid)
        self._sessions[pid] = seen.start if seen else 0
        self._save()

    def remove(self, pid: int) -> None:
        """Note that the session has ended."""
        if self._sessions.pop(pid, None) is not None:
            self._save()

    def close(self) -> None:
        """Remove the file: there is nothing to sweep."""
        self._path.unlink(missing_ok=True)

    def _save(self) -> None:
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps({"boot": self._boot, "sessions": self._sessions}))
            fresh.replace(self._path)
        except OSError as failure:
            # Worth a child only if the keeper is killed as well; a full disk is likelier.
            _log.warning("children are not journaled: %s", failure)


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
    """Return start times by session, of this boot only."""
    try:
        journal = json.loads(path.read_bytes())
        same_boot = journal["boot"] == processes.boot_id()
        return {int(pid): int(start) for pid, start in journal["sessions"].items() if same_boot}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as broken:
        _log.warning("%s is not readable, nothing is swept: %s", path, broken)
        return {}


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
