"""Landlock: what a process may do to files, and to whom outside it may speak or send signals.

Inside a cell it keeps abstract sockets and signals inside; where there can be no cell, it stands in
for it: files outside of the view cannot be opened, although they are seen.
"""

import contextlib
import ctypes
import os
import stat
import struct
from typing import Final

from codestore.keeper.walls import calls
from codestore.keeper.walls.view import DEVICES, SETTINGS, SYSTEM, View

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2
SCOPES_SINCE: Final = 6
"""The version that can keep abstract sockets and signals inside."""

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_ALL: Final = ((1, (1 << 13) - 1), (2, 1 << 13), (3, _TRUNCATE), (5, _IOCTL_DEV))
_FILE: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READ: Final = _EXECUTE | _READ_FILE | _READ_DIR


def version() -> int:
    """Return the version of Landlock that the kernel has, 0 for none."""
    try:
        return calls.call(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION))
    except OSError:
        return 0


def keep_inside(known: int) -> None:
    """Reach no abstract socket and send no signal outside of this process and those it starts.

    ``known`` is the version that there is. Needs ``no_new_privs``. Raises ``OSError``.
    """
    if known >= SCOPES_SINCE:
        _restrict(_ruleset(0, known))


def confine(view: View, notify: str, known: int) -> None:
    """Open nothing outside of a view, and keep inside what can be kept. Raises ``OSError``."""
    handled = sum(bits for since, bits in _ALL if since <= known)
    rules = _ruleset(handled, known)
    readable = [*SYSTEM, *(f"/etc/{name}" for name in SETTINGS), "/proc/self", *view.read]
    writable = [*(f"/dev/{name}" for name in DEVICES), *view.write, notify]
    for path in readable:
        _allow(rules, path, _READ & handled)
    for path in writable:
        _allow(rules, path, handled)
    _restrict(rules)


def _ruleset(handled: int, known: int) -> int:
    scopes = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if known >= SCOPES_SINCE else 0
    given = struct.pack("QQQ", handled, 0, scopes)
    size = 24 if known >= SCOPES_SINCE else 16 if known >= 4 else 8
    return calls.call(_CREATE, given, ctypes.c_size_t(size), ctypes.c_uint(0))


def _allow(rules: int, path: str, bits: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(place).st_mode):
                bits &= _FILE
            given = struct.pack("=Qi", bits, place)
            call = (ctypes.c_int(rules), ctypes.c_int(_PATH_BENEATH), given, ctypes.c_uint(0))
            calls.call(_ADD, *call)
        finally:
            os.close(place)


def _restrict(rules: int) -> None:
    try:
        calls.call(_RESTRICT, ctypes.c_int(rules), ctypes.c_uint(0))
    finally:
        os.close(rules)
