"""Control groups of a service, entered before there is a service: whoever it starts is inside, too.

To move a process into a group of version 2 takes the kernel ten milliseconds and more, for which
somebody may wait. So it is made there: by the system call itself, because no library has it.
"""

import ctypes
import os
import signal
import sys

from codestore_sdk.packets import Groups

_CLONE3 = 435  # the same number wherever there is the call
_INTO_CGROUP = 0x200000000


class _Arguments(ctypes.Structure):
    """`struct clone_args` of Linux 5.7, where `cgroup` came in."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    ]


# Not to let go of the interpreter's lock in between: the new process would miss who has it.
_libc = ctypes.PyDLL(None, use_errno=True)


def fork_inside(groups: Groups) -> int:
    """Fork a process that is inside these groups, or about to go there. Raises OSError.

    Returns 0 in the new one, which may do nothing but fork a proper one, and end: the C library
    does not know of it. There must be one thread.
    """
    pid = _cloned(groups.into) if groups.into else None
    if pid is not None:
        return pid
    pid = os.fork()
    if pid == 0:
        _enter(groups.enter)
    return pid


def _cloned(folder: str) -> int | None:
    """Fork right into a group; None where that cannot be done."""
    try:
        group = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        _tell(folder, error)
        return None
    given = _Arguments(flags=_INTO_CGROUP, exit_signal=signal.SIGCHLD, cgroup=group)
    size = ctypes.c_size_t(ctypes.sizeof(given))
    pid = int(_libc.syscall(ctypes.c_long(_CLONE3), ctypes.byref(given), size))
    if pid == 0:
        return 0
    os.close(group)
    return pid if pid > 0 else None


def _enter(files: tuple[str, ...]) -> None:
    """Go there, as far as possible: whoever ordered it looks, and may do the rest."""
    for file in files:
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
            os.write(descriptor, b"0")
            os.close(descriptor)
        except OSError as error:
            _tell(file, error)


def _tell(file: str, error: OSError) -> None:
    print(f"cannot enter {file}: {error.strerror}", file=sys.stderr, flush=True)
