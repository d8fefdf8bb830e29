"""A cell: namespaces in which a child finds the system's programs, what is its own, nothing else.

Three processes of a forked copy of the keeper's. The first one makes the namespaces and ends. Then
there is the *anchor*, which is process 1 in there: it collects orphans, and when it is killed the
kernel kills everybody else inside. The third is the child itself; a process 1 would not hear
signals that it has no handler for. Both are the keeper's own children, and so is the one that
connects its network (``network``), which is the only one that stays outside.

What every cell has is built by ``prepare``, which can be done before anybody knows what for. What
is this child's is added by ``furnish``, in a fraction of a millisecond; after that nothing else is
in view, and no right is left to change it. Needs Linux 5.12, for ``mount_setattr``.
"""

import contextlib
import os
import resource
import shutil
import signal
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from codestore.keeper import processes
from codestore.keeper.walls import calls, network
from codestore.keeper.walls.link import Link
from codestore.keeper.walls.network import Network
from codestore.keeper.walls.view import DEVICES, SETTINGS, SYSTEM, View

PATIENCE: Final = 5.0
"""Seconds for the making of a cell's namespaces."""
MOST_PROCESSES: Final = 1024
"""Processes and threads in a cell; it ends fork bombs where nothing else bounds them."""
_FLAGS: Final = (
    calls.CLONE_NEWNS | calls.CLONE_NEWPID | calls.CLONE_NEWIPC | calls.CLONE_NEWUTS
)  # fmt: skip
_REPORT: Final = struct.Struct("iii")
_NOBODY: Final = 65534
_IN_MEMORY: Final = "128m"  # of each folder that is kept in memory, which counts as its memory
_RESOLVERS: Final = "resolv.conf"
_CHILD: Final = 2  # the number of the first process behind the anchor
_OWN: Final = calls.ATTR_NOSUID | calls.ATTR_NODEV
_READ: Final = _OWN | calls.ATTR_RDONLY
_DEVICE: Final = calls.ATTR_NOSUID | calls.ATTR_RDONLY
_SLEEP: Final = shutil.which("sleep", path="/usr/bin:/bin:/run/current-system/sw/bin")


class Cell:
    """A cell as the keeper holds it: who is in it, its anchor, its network if it has one."""

    def __init__(self, anchor: int, link: Link | None = None) -> None:
        self.link = link
        self._anchor = os.pidfd_open(anchor)
        self._inside = 1

    def join(self) -> "Cell":
        """Count one more who is inside."""
        self._inside += 1
        return self

    def leave(self) -> None:
        """Count one less; with the last one everything inside ends."""
        self._inside -= 1
        if self._inside == 0:
            self.end()
            os.close(self._anchor)
            if self.link:
                self.link.close()

    def end(self) -> None:
        """Kill whoever is inside."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._anchor, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Site:
    """Where cells are built, at a folder that is empty, and for whom: is the keeper root?

    Without a ``network`` they have that of the host.
    """

    base: str
    root: bool
    network: Network | None = None


def split(site: Site, keeper: int, report: socket.socket, port: int = 0) -> None:
    """Make the namespaces; return in the child only, which is not alone in them.

    To be called in a process that the keeper has forked, with all signals blocked. Its pids (or
    the reason why there are none) are written to ``report``. There is no moment at which the keeper
    could end and an anchor would stay. ``port`` of the host leads inside.
    """
    try:
        watched = os.pidfd_open(keeper)
        account = os.getuid(), os.getgid()
        carrier = _begin_to_carry(site, watched, port)
        host = network.addresses_of_host() if carrier else []
        flags = _FLAGS | (calls.CLONE_NEWNET if carrier else 0)
        calls.unshare(flags if site.root else flags | calls.CLONE_NEWUSER)
        if not site.root:
            _map("/proc", account)
        inside = network.close_off(host) if carrier else None
        if carrier:
            carrier.connect(site.root)
        # Until both are there: the kernel makes no child of somebody who is about to be killed.
        processes.die_with_parent(signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(1)
        anchor = calls.sibling()
        if anchor == 0:
            _hold(site, watched)
        child = calls.sibling()
        if child == 0:
            os.close(watched)
            return
        pids = _REPORT.pack(anchor, child, carrier.pid if carrier else 0)
        if carrier and inside:
            socket.send_fds(report, [pids], [carrier.ready, inside.fileno()])
        else:
            report.send(pids)
        os._exit(0)
    except OSError as failure:
        report.send(f"no namespaces: {failure.strerror}".encode())
    finally:
        if os.getpid() != _CHILD:
            os._exit(1)


def split_off(report: socket.socket, port: int = 0) -> tuple[int, Cell]:
    """Return the pid of a cell's child, and the cell, when they are there. Raises ``OSError``."""
    said, given = b"no namespaces in time", list[int]()
    if processes.speaks(report.fileno(), PATIENCE):
        said, given, _, _ = socket.recv_fds(report, 4096, 2)
    if len(said) != _REPORT.size:
        raise OSError(said.decode(errors="replace"))
    anchor, child, carrier = _REPORT.unpack(said)
    if not carrier:
        return child, Cell(anchor)
    ready, inside = given
    return child, Cell(anchor, Link(carrier, ready, inside, port))


@dataclass(frozen=True, slots=True)
class _Carrier:
    """The process that will connect a cell, and waits to be told which; as its maker has it."""

    pid: int
    line: socket.socket
    ready: int

    def connect(self, root: bool) -> None:
        """Have it connect the namespaces that we are in."""
        names = ("net",) if root else ("net", "user")
        spaces = [os.open(f"/proc/self/ns/{each}", os.O_RDONLY | os.O_CLOEXEC) for each in names]
        socket.send_fds(self.line, [b"!"], spaces)


def _begin_to_carry(site: Site, keeper: int, port: int) -> _Carrier | None:
    """Make the process that will connect a cell, while we are still in the host's network."""
    if site.network is None:
        return None
    line, end = socket.socketpair()
    ready, said = os.pipe()
    pid = calls.sibling()
    if pid == 0:
        line.close()  # or the end of our maker would go unnoticed
        network.carry(site.network.arguments(site.root, port), end, said, keeper)
    end.close()
    os.close(said)
    return _Carrier(pid, line, ready)


def prepare(site: Site) -> None:
    """Build what every cell has, in the child. Raises ``OSError``."""
    base = site.base
    os.umask(0o022)
    calls.make_private("/")
    calls.mount("tmpfs", base, calls.MS_NOSUID | calls.MS_NODEV, "mode=755,size=4m")
    for path in SYSTEM:
        _show(base, path, _READ)
    for name in SETTINGS:
        if site.network and name == _RESOLVERS:
            _write_resolvers(base)
        else:
            _show(base, f"/etc/{name}", _READ)
    for name in ("dev", "proc", "tmp", "var/tmp", "dev/shm", "home"):
        os.makedirs(f"{base}/{name}", exist_ok=True)
    flags = calls.MS_NOSUID | calls.MS_NODEV | calls.MS_NOEXEC
    calls.mount("proc", f"{base}/proc", flags | calls.MS_RDONLY)
    for name in DEVICES:
        _show(base, f"/dev/{name}", _DEVICE)
    for name in ("tmp", "var/tmp", "dev/shm"):
        flags = calls.MS_NOSUID | calls.MS_NODEV
        calls.mount("tmpfs", f"{base}/{name}", flags, f"mode=1777,size={_IN_MEMORY}")
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(f"/proc/self/{target}", f"{base}/dev/{name}")
    if not site.root:
        _allow_no_user_namespaces("/proc")
    calls.drop_bounds()


def furnish(site: Site, view: View, user: tuple[int, int] | None, notify: str) -> None:
    """Add what is this child's, leave everything else behind, and every right with it.

    Raises ``OSError``.
    """
    base = site.base
    for path, own in view.wholly:
        _show(base, path, _OWN if own else _READ)
    _show(base, str(Path(notify).parent), _READ)
    account = user or (os.getuid(), os.getgid())
    _write_accounts(base, view, account)
    calls.set_host_name(view.name)
    outside = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    calls.turn_into_root(base)
    calls.read_only_root()
    if user is not None:
        _become(user, outside)
    calls.drop_capabilities()
    for kind, most in ((resource.RLIMIT_NPROC, MOST_PROCESSES), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))


def _become(user: tuple[int, int], proc: int) -> None:
    """Be an ordinary user, in a user namespace of its own in which no other can be made."""
    uid, gid = user
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    calls.unshare(calls.CLONE_NEWUSER)
    calls.prctl(calls.PR_SET_DUMPABLE, 1)  # or what is in our own folder of /proc is root's
    os.fchdir(proc)
    _map(".", user)
    _allow_no_user_namespaces(".")
    os.chdir("/")


def _map(proc: str, account: tuple[int, int]) -> None:
    """Be in the user namespace who we are outside of it."""
    uid, gid = account
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        _put(f"{proc}/self/{name}", text)


def _allow_no_user_namespaces(proc: str) -> None:
    """Nobody in this user namespace shall become mighty in another one."""
    _put(f"{proc}/sys/user/max_user_namespaces", "0")


def _hold(site: Site, keeper: int) -> NoReturn:
    """Be the anchor: nobody, who holds nothing, does nothing and collects orphans by ignoring.

    ``keeper`` is a descriptor that is readable when the keeper has ended.
    """
    try:
        processes.die_with_parent(signal.SIGKILL)  # at once: the keeper may be killed right now
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for place in range(3):
            os.dup2(null, place)
        os.chdir("/")
        if site.root:
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
        calls.prctl(calls.PR_SET_NO_NEW_PRIVS, 1)
        processes.die_with_parent(signal.SIGKILL)  # again: a change of user has cleared it
        if processes.speaks(keeper, 0):  # it ended before we were tied to it
            os._exit(1)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        if _SLEEP:
            os.execve(_SLEEP, ["sleep", "infinity"], {})  # noqa: S606 - no shell wanted
        while True:
            signal.pause()
    finally:
        os._exit(1)


def _show(base: str, path: str, attributes: int) -> None:
    """Show a path of the host's at the same place in a cell, unless it is there already."""
    if attributes == _READ and path.startswith(tuple(f"{each}/" for each in SYSTEM)):
        return
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    target = f"{base}{path}"
    if stat.S_ISLNK(mode):
        _copy_link(base, path, target, attributes)
        return
    if not os.path.lexists(target):
        os.makedirs(target if stat.S_ISDIR(mode) else os.path.dirname(target), exist_ok=True)
        if not stat.S_ISDIR(mode):
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
    calls.bind(path, target, attributes)


def _copy_link(base: str, path: str, target: str, attributes: int) -> None:
    """Have the same link: programs read where ``/etc/localtime`` leads. And what it leads to."""
    if os.path.lexists(target):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.symlink(os.readlink(path), target)
    found = os.path.realpath(path)
    if found != path and not os.path.lexists(f"{base}{found}"):
        _show(base, found, attributes)


def _write_resolvers(base: str) -> None:
    """Have names resolved by the host's own resolver, or by those it names beside that."""
    os.makedirs(f"{base}/etc", exist_ok=True)
    named = Path("/etc", _RESOLVERS)
    others = named.read_text(errors="replace") if named.exists() else ""
    _put(f"{base}{named}", f"nameserver {network.RESOLVER}\n{others}", os.O_CREAT)


def _write_accounts(base: str, view: View, account: tuple[int, int]) -> None:
    uid, gid = account
    own = f"{view.name}:x:{uid}:{gid}::{view.home}:/bin/sh\n"
    for name, text in (
        ("passwd", f"{own}nobody:x:{_NOBODY}:{_NOBODY}::/:/bin/false\n"),
        ("group", f"{view.name}:x:{gid}:\nnogroup:x:{_NOBODY}:\n"),
    ):
        _put(f"{base}/etc/{name}", text, os.O_CREAT | os.O_TRUNC)


def _put(file: str, text: str, how: int = 0) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC | how, 0o644)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
