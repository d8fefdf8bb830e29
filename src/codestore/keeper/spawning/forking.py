"""Starting a child from a fork server: like ``launch``, but a parent that has imported all forks.

The parent gets one packet, a JSON object with the descriptors it speaks of, and forks a process
beside itself, which is our child then. That process says ``+`` at the gate when it is as far as a
forked child of ``launch``, and then waits like that one. Who it is, the kernel tells.

The parent may be in a cell, in which no control group is seen: it is handed open files, by which
the new process goes inside by itself.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Final

from codestore.keeper.bounds.limiting import Bounds
from codestore.keeper.run import Run
from codestore.keeper.spawning.become import environment
from codestore.keeper.spawning.launch import Launch, Pipe, make_pipes
from codestore.keeper.spec import ChildSpec, signal_number

_log = logging.getLogger(__name__)

PATIENCE: Final = 2.0
"""Seconds until the forked process must have answered."""
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid
_READY: Final = b"+"


async def forked(
    spec: ChildSpec,
    parent: Run | None,
    listeners: Sequence[int],
    notify: str,
    bounds: Bounds | None = None,
) -> Launch | None:
    """Have ``parent`` fork a child that waits to become ``spec``, inside its bounds.

    ``None`` when that cannot be done, for whatever reason: it is to be executed then.
    The caller must expect the pid's end before anything else can happen on the loop.
    """
    if parent is None or not _can_fork(spec, parent):
        return None
    ours, theirs = socket.socketpair()
    pipes: list[Pipe] = []
    pid = 0
    try:
        with theirs:
            ours.setblocking(False)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            pipes = make_pipes(spec)
            outputs = [pipe.write for pipe in pipes]
            with _opened(bounds) as entries:
                descriptors = [theirs.fileno(), *outputs, *entries.values(), *listeners]
                _ask(parent, _request(spec, notify, list(entries)), descriptors)
        forked_pid = await _answered(ours)
        if bounds:  # its parent may know nothing of them, and that takes its time then
            await bounds.admit(forked_pid)
            _check_ours(forked_pid)
        pid = forked_pid
    except OSError as failure:  # TimeoutError is one too
        _log.warning("%s is executed, %s did not fork: %s", spec.name, parent.name, failure)
    finally:
        for pipe in pipes:
            os.close(pipe.write)
            if not pid:
                os.close(pipe.read)
        if not pid:
            ours.close()  # whoever comes late to the gate ends
    return Launch(pid, ours, tuple(pipe.read for pipe in pipes)) if pid else None


def _can_fork(spec: ChildSpec, parent: Run) -> bool:
    awake = parent.alive and parent.ready and not parent.frozen and not parent.freezing
    # A descriptor to fork from is not among those that can be asked for.
    alike = (parent.user, parent.view) == (spec.user, spec.view)
    return awake and parent.channel is not None and alike and not spec.forks


@contextlib.contextmanager
def _opened(bounds: Bounds | None) -> Iterator[dict[str, int]]:
    """Open what a process needs to go inside: by a name and a path. Raises nothing."""
    opened: dict[str, int] = {}
    try:
        if bounds:
            for file in bounds.enter:
                with contextlib.suppress(OSError):
                    opened[f"enter {file}"] = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
            if bounds.folder:
                with contextlib.suppress(OSError):
                    opened["into"] = os.open(bounds.folder, os.O_RDONLY | os.O_CLOEXEC)
        yield opened
    finally:
        for descriptor in opened.values():
            os.close(descriptor)


def _request(spec: ChildSpec, notify: str, entries: Sequence[str]) -> dict[str, object]:
    outputs = ["stdout", "stderr"] if spec.log is not None else []
    named = [entry.partition(" ")[0] for entry in entries]
    return {
        "argv": spec.argv,
        "env": environment(spec, notify),
        "cwd": spec.cwd,
        "umask": spec.umask,
        "keeper": os.getpid(),
        "death_signal": int(signal_number(spec.death_signal)),
        "fds": ["gate", *outputs, *named, *("listener" for _ in spec.sockets)],
    }


def _ask(parent: Run, request: dict[str, object], descriptors: list[int]) -> None:
    """Send the request in one packet. Raises ``OSError``, also when it is too large for one."""
    assert parent.channel is not None
    socket.send_fds(parent.channel, [json.dumps(request).encode()], descriptors)


async def _answered(gate: socket.socket) -> int:
    """Return the pid of the process that waits at the gate. Raises ``OSError`` for any other."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(gate.fileno(), readable.set)
    try:
        async with asyncio.timeout(PATIENCE):
            await readable.wait()
    except TimeoutError:
        raise TimeoutError(f"no answer in {PATIENCE} s") from None
    finally:
        loop.remove_reader(gate.fileno())
    said, ancillary, *_ = gate.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
    if said != _READY:
        raise OSError(said.decode(errors="replace").removeprefix("-") or "it hung up")
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid, _, _ = _CREDENTIALS.unpack(payload)
            _check_ours(pid)
            return int(pid)
    raise OSError("nobody knows who it is")


def _check_ours(pid: int) -> None:
    """Raise ``OSError`` unless it lives, is our child and leads a session.

    When it has ended before it was expected, its end would be waited for in vain.
    """
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if ended is not None or os.getsid(pid) != pid:
        raise ProcessLookupError(f"process {pid} has ended, or has no session of its own")
