"""Fork and exec, the child's half: from a copy of the keeper to the program of a spec.

Runs in the forked child only and never returns: it becomes the program, or says why it cannot
through the gate and ends.
"""

import errno
import fcntl
import os
import resource
import select
import signal
from dataclasses import dataclass
from typing import Final, NoReturn

from codestore.keeper import processes
from codestore.keeper.spec import ChildSpec, signal_number
from codestore.keeper.walls.picking import NO_WALLS, Walls

_FIRST: Final = 3  # where systemd's socket activation puts the first descriptor
_NOT_EXECUTED: Final = 127
CHANNEL: Final = "forks"
"""The name under which a fork server finds the descriptor that it is asked at."""
_ACTIVATION: Final = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


@dataclass(frozen=True, slots=True)
class Handover:
    """What the keeper gives a forked child. The numbers are descriptors of the keeper.

    ``keeper`` is the keeper's pid; ``gate`` is readable when the program may run, and takes the
    reason when it cannot. ``enter`` are files of control groups: to write 0 there is to be inside.
    """

    keeper: int
    notify: str
    listeners: tuple[int, ...]
    outputs: tuple[int, ...]
    gate: int
    enter: tuple[str, ...] = ()
    walls: Walls = NO_WALLS
    prepared: bool = False
    """The general part of its cell is done, and what is the keeper's is forgotten."""


def become(spec: ChildSpec, handover: Handover) -> NoReturn:
    """Run the program of ``spec`` in this process. All signals must be blocked."""
    gate = handover.gate
    doing = "starting a session"
    try:
        os.setsid()
        if not handover.prepared:
            forget_signals()
        doing = "handing over descriptors"
        gate = _arrange(handover)
        enter_groups(handover.enter)
        if spec.view is not None:
            doing = "putting walls around it"
            handover.walls.close_in(spec.view, spec.user, handover.notify, handover.prepared)
        elif spec.user is not None:
            doing = f"becoming user {spec.user[0]}, group {spec.user[1]}"
            _drop_privileges(spec.user)
            doing = f"reaching {handover.notify} as user {spec.user[0]} (is a folder above closed?)"
            _check_reachable(handover.notify)
        if spec.file_size is not None:
            doing = "bounding its files"
            resource.setrlimit(resource.RLIMIT_FSIZE, (spec.file_size, spec.file_size))
        doing = "tying its life to the keeper's"
        _tie(spec, handover.keeper, gate)
        doing = f"entering {spec.cwd}"
        os.chdir(spec.cwd)
        os.umask(spec.umask)
        if not os.read(gate, 1):  # the keeper has gone
            os._exit(_NOT_EXECUTED)
        doing = f"running {spec.argv[0]}"
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(spec.argv[0], spec.argv, _environment(spec, handover))  # noqa: S606  no shell wanted
    except BaseException as failure:
        reason = failure.strerror if isinstance(failure, OSError) else repr(failure)
        os.write(gate, f"{doing}: {reason}".encode()[:4096])
    finally:
        os._exit(_NOT_EXECUTED)


def forget_signals() -> None:
    """Undo what the keeper's event loop and Python itself have set up."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)


def _arrange(handover: Handover) -> int:
    """Put every descriptor in its place and close all others; return where the gate is now."""
    wanted = [*handover.listeners, handover.gate]
    free = _FIRST + len(wanted)
    # First out of the way of each other: a descriptor may sit where another one has to go.
    aside = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, free) for each in wanted]
    null = os.open(os.devnull, os.O_RDWR)
    stdout, stderr = handover.outputs or (null, null)
    standard = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, free) for each in (null, stdout, stderr)]
    for place, each in enumerate([*standard, *aside]):
        os.dup2(each, place)
    gate = free - 1
    os.set_inheritable(gate, False)
    os.closerange(free, os.sysconf("SC_OPEN_MAX"))
    return gate


def enter_groups(files: tuple[str, ...]) -> None:
    """Step inside its bounds. Without them it runs as well, and its log (or ours) says so."""
    for file in files:
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
            os.write(descriptor, b"0")
            os.close(descriptor)
        except OSError as failure:
            os.write(2, f"codestore: without bounds: {file}: {failure.strerror}\n".encode())


def _drop_privileges(user: tuple[int, int]) -> None:
    uid, gid = user
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _check_reachable(notify: str) -> None:
    # Told now, rather than found out by waiting for a READY that could never arrive.
    if not os.access(notify, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _tie(spec: ChildSpec, keeper: int, gate: int) -> None:
    # After the change of user, which clears it.
    processes.die_with_parent(signal_number(spec.death_signal))
    hung_up = select.poll()
    hung_up.register(gate, 0)
    # It died just before: nobody would send the signal any more. In a cell its pid is not seen.
    if os.getppid() not in (keeper, 0) or hung_up.poll(0):
        os._exit(_NOT_EXECUTED)


def environment(spec: ChildSpec, notify: str) -> dict[str, str]:
    """Return the complete environment of ``spec``, but for ``LISTEN_PID``."""
    # Its own socket activation, if the keeper was started by one, is not the child's.
    env = {key: value for key, value in spec.env.items() if key not in _ACTIVATION}
    env["NOTIFY_SOCKET"] = notify
    names = [fdname for fdname, _ in spec.sockets]
    if spec.forks:
        names.append(CHANNEL)
    if names:
        env["LISTEN_FDS"] = str(len(names))
        env["LISTEN_FDNAMES"] = ":".join(names)
    return env


def _environment(spec: ChildSpec, handover: Handover) -> dict[str, str]:
    env = environment(spec, handover.notify)
    if "LISTEN_FDS" in env:
        env["LISTEN_PID"] = str(os.getpid())
    return env
