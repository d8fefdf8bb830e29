"""System calls that no library has, by their numbers or through the C library. Linux only.

The numbers above 423 are the same on every architecture. Nothing here lets go of the interpreter's
lock: it is used in processes of one thread, some of which the C library does not know of.
"""

import ctypes
import os
import sys
from typing import Any, Final

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000
_CLONE_PARENT: Final = 0x00008000
_CLONE_CHILD_CLEARTID: Final = 0x00200000
_CLONE_CHILD_SETTID: Final = 0x01000000

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18
MNT_DETACH: Final = 2

ATTR_RDONLY: Final = 0x1
ATTR_NOSUID: Final = 0x2
ATTR_NODEV: Final = 0x4

_CLONE3: Final = 435
_OPEN_TREE: Final = 428
_MOVE_MOUNT: Final = 429
_MOUNT_SETATTR: Final = 442
_OPEN_TREE_CLONE: Final = 1
_OPEN_TREE_CLOEXEC: Final = os.O_CLOEXEC
_AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_AT_RECURSIVE: Final = 0x8000
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_MOVE_MOUNT_F_EMPTY_PATH: Final = 0x4

PR_SET_DUMPABLE: Final = 4
PR_SET_NO_NEW_PRIVS: Final = 38
_PR_GET_TID_ADDRESS: Final = 40
_PR_CAPBSET_DROP: Final = 24
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_LAST_CAPABILITY: Final = 63  # more than any kernel has; it says which is none
_CAPABILITIES_V3: Final = 0x20080522
_OURS: Final = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0)
_NONE: Final = (ctypes.c_uint32 * 6)()

_libc: Any = ctypes.PyDLL(None, use_errno=True) if sys.platform == "linux" else None
MISSING: Final = _libc is None
"""Whether this is another system."""
for _name in () if MISSING else ("capset", "pivot_root", "prctl", "sethostname", "umount2"):
    getattr(_libc, _name)  # looked up now, rather than while somebody waits


class _CloneArguments(ctypes.Structure):
    """``struct clone_args``, as it was at first."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in ("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack",
                     "stack_size", "tls")
    ]  # fmt: skip


class _MountAttributes(ctypes.Structure):
    """``struct mount_attr``."""

    _fields_ = [
        (name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")
    ]


def call(number: int, *arguments: object) -> int:
    """Make a system call by its number. Raises ``OSError``."""
    return _checked(_libc.syscall(ctypes.c_long(number), *arguments))


def prctl(option: int, *arguments: int) -> int:
    """Raises ``OSError``."""
    padded = [ctypes.c_ulong(each) for each in (*arguments, 0, 0, 0, 0)[:4]]
    return _checked(_libc.prctl(ctypes.c_int(option), *padded))


def unshare(flags: int) -> None:
    """Leave namespaces for new ones. Raises ``OSError``."""
    _checked(_libc.unshare(ctypes.c_int(flags)))


def sibling() -> int:
    """Fork a child that is our parent's, in the namespaces that ours would be in; 0 in the child.

    For one that soon runs a program: what libraries do at a fork is not done. Raises ``OSError``.
    """
    where = ctypes.c_uint64(0)
    prctl(_PR_GET_TID_ADDRESS, ctypes.addressof(where))
    # As the C library forks: its own note of the thread's number is set in the child.
    given = _CloneArguments(
        flags=_CLONE_PARENT | _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID,
        child_tid=where.value,
        exit_signal=0,  # the kernel takes that of our own parent's child, which is us
    )
    return call(_CLONE3, ctypes.byref(given), ctypes.c_size_t(ctypes.sizeof(given)))


def mount(kind: str, target: str, flags: int, options: str = "") -> None:
    """Mount a new file system of this kind. Raises ``OSError``."""
    named = kind.encode()
    _checked(
        _libc.mount(named, target.encode(), named, ctypes.c_ulong(flags), options.encode() or None)
    )


def make_private(target: str) -> None:
    """Let what is mounted below from now on be seen by nobody else. Raises ``OSError``."""
    flags = ctypes.c_ulong(MS_REC | MS_PRIVATE)
    _checked(_libc.mount(None, target.encode(), None, flags, None))


def bind(source: str, target: str, attributes: int) -> None:
    """Show a file or folder, with all that is mounted below it, at another place too.

    Raises ``OSError``.
    """
    tree = call(
        _OPEN_TREE,
        ctypes.c_int(_AT_FDCWD),
        source.encode(),
        ctypes.c_uint(_OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE),
    )
    try:
        set_attributes(tree, "", attributes, _AT_EMPTY_PATH | _AT_RECURSIVE)
        call(
            _MOVE_MOUNT,
            ctypes.c_int(tree),
            b"",
            ctypes.c_int(_AT_FDCWD),
            target.encode(),
            ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH),
        )
    finally:
        os.close(tree)


def set_attributes(folder: int, path: str, attributes: int, flags: int = 0) -> None:
    """Add attributes to a mount. Raises ``OSError``."""
    wanted = _MountAttributes(attr_set=attributes)
    call(
        _MOUNT_SETATTR,
        ctypes.c_int(folder),
        path.encode(),
        ctypes.c_uint(flags),
        ctypes.byref(wanted),
        ctypes.c_size_t(ctypes.sizeof(wanted)),
    )


def turn_into_root(folder: str) -> None:
    """Make a mounted folder the root of our mount namespace; nothing else is left in it.

    Raises ``OSError``.
    """
    os.chdir(folder)
    _checked(_libc.pivot_root(b".", b"."))
    _checked(_libc.umount2(b".", ctypes.c_int(MNT_DETACH)))
    os.chdir("/")


def read_only_root() -> None:
    """Let nothing be made in the root itself. Raises ``OSError``."""
    set_attributes(_AT_FDCWD, "/", ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV)


def drop_bounds() -> None:
    """Give up every capability that a program could give us. Needs CAP_SETPCAP."""
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            prctl(_PR_CAPBSET_DROP, capability)
        except OSError:  # there are no more
            return


def drop_capabilities() -> None:
    """Give up every capability that we have. Raises ``OSError``."""
    _checked(_libc.capset(_OURS, _NONE))


def set_host_name(name: str) -> None:
    """Raises ``OSError``."""
    encoded = name.encode()
    _checked(_libc.sethostname(encoded, ctypes.c_size_t(len(encoded))))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)
