"""Forks a process that is our own parent's child, inside its control groups from the first.

Its parent is to know how it ends, and cannot adopt it: where processes have numbers of their own (a
namespace), orphans fall to somebody in there. And to move a process into a group of version 2 takes
the kernel ten milliseconds and more, for which somebody may wait; so it is made in there. Both are
done by the system call itself, because no library has it, and what the C library and the
interpreter do at a fork is done around it.
"""

import ctypes
import os
import platform
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from codestore_sdk.packets import Groups

_CLONE3 = 435  # the same number wherever there is the call
# The older call: its number, and where the address for the thread's number stands.
_CLONE = {"x86_64": (56, 3), "aarch64": (220, 4)}
_PARENT = 0x8000
_CLEAR_THREAD_ID = 0x200000
_SET_THREAD_ID = 0x1000000
_INTO_CGROUP = 0x200000000
_GET_THREAD_ID_ADDRESS = 40  # of prctl


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


def fork_beside(groups: Groups) -> int:
    """Fork a process beside us that is inside these groups, as far as possible. Raises OSError.

    Returns 0 in the new one. There must be one thread. What libraries have registered with the C
    library for a fork (`pthread_atfork`) is not done: it is about threads, of which there are none.
    """
    address = _thread_id_address()
    with _interpreter_forks() as forked:
        pid = _cloned_into(groups.into, address) if groups.into is not None else None
        inside = pid is not None
        if pid is None:
            pid = _cloned(address)
        forked.append(pid)
    if pid == 0 and not inside:
        _enter(groups.enter)
    return pid


@contextmanager
def _interpreter_forks() -> Iterator[list[int]]:
    """Do what the interpreter does around a fork; the result is to be appended."""
    forked: list[int] = []
    ctypes.pythonapi.PyOS_BeforeFork()
    try:
        yield forked
    finally:
        if forked == [0]:
            ctypes.pythonapi.PyOS_AfterFork_Child()
        else:
            ctypes.pythonapi.PyOS_AfterFork_Parent()


def _thread_id_address() -> int:
    """Return where the C library keeps the number of this thread, to be set in the new process.

    Raises OSError where that cannot be found out.
    """
    where = ctypes.c_uint64(0)
    given = (ctypes.c_ulong(each) for each in (ctypes.addressof(where), 0, 0, 0))
    if _libc.prctl(ctypes.c_int(_GET_THREAD_ID_ADDRESS), *given) != 0:
        raise OSError(ctypes.get_errno(), "the kernel does not tell where thread numbers are kept")
    return where.value


def _cloned_into(group: int, address: int) -> int | None:
    """Fork right into a group of version 2; None where that cannot be done."""
    given = _Arguments(
        flags=_PARENT | _SET_THREAD_ID | _CLEAR_THREAD_ID | _INTO_CGROUP,
        child_tid=address,
        cgroup=group,
    )
    size = ctypes.c_size_t(ctypes.sizeof(given))
    pid = int(_libc.syscall(ctypes.c_long(_CLONE3), ctypes.byref(given), size))
    return pid if pid >= 0 else None


def _cloned(address: int) -> int:
    machine = platform.machine()
    if machine not in _CLONE:
        raise OSError(f"no fork beside us is known on {machine}")
    number, place = _CLONE[machine]
    flags = _PARENT | _SET_THREAD_ID | _CLEAR_THREAD_ID | signal.SIGCHLD
    given = [flags, 0, 0, 0, 0]
    given[place] = address
    pid = int(_libc.syscall(ctypes.c_long(number), *(ctypes.c_ulong(each) for each in given)))
    if pid < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return pid


def _enter(entries: tuple[int, ...]) -> None:
    """Go there, as far as possible: whoever ordered it looks, and may do the rest."""
    for entry in entries:
        try:
            os.write(entry, b"0")
        except OSError as error:
            print(f"cannot enter its bounds: {error.strerror}", file=sys.stderr, flush=True)
