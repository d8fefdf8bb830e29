"""System calls that no service needs, and how they are refused: a seccomp filter.

What is refused reaches parts of the kernel in which most holes are found, or other processes. All
else is allowed: services are anybody's programs. The assembler is the classic one of BPF with two
kinds of test, which is all that is wanted here.
"""

import ctypes
import errno
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from codestore.keeper.walls import calls

_PR_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_KILL: Final = 0x80000000
_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24  # in struct seccomp_data, low halves
_X32: Final = 0x40000000

_NEW_NAMESPACES: Final = 0x7E020000  # every CLONE_NEW flag
_FAMILIES: Final = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C

_SAME: Final = {  # since Linux 5.1 the numbers are the same everywhere
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443,
    "process_mrelease": 448, "open_tree_attr": 467,
}  # fmt: skip
_X86_64: Final = {
    "ioctl": 16, "socket": 41, "clone": 56, "ptrace": 101, "syslog": 103, "uselib": 134,
    "personality": 135, "vhangup": 153, "modify_ldt": 154, "pivot_root": 155, "_sysctl": 156,
    "adjtimex": 159, "chroot": 161, "acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166,
    "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170, "setdomainname": 171,
    "iopl": 172, "ioperm": 173, "create_module": 174, "init_module": 175, "delete_module": 176,
    "quotactl": 179, "nfsservctl": 180, "lookup_dcookie": 212, "clock_settime": 227,
    "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "migrate_pages": 256,
    "unshare": 272, "move_pages": 279, "perf_event_open": 298, "fanotify_init": 300,
    "name_to_handle_at": 303, "open_by_handle_at": 304, "clock_adjtime": 305, "setns": 308,
    "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "finit_module": 313,
    "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323,
}  # fmt: skip
_AARCH64: Final = {
    "lookup_dcookie": 18, "ioctl": 29, "umount2": 39, "mount": 40, "pivot_root": 41,
    "nfsservctl": 42, "chroot": 51, "vhangup": 58, "quotactl": 60, "acct": 89, "personality": 92,
    "unshare": 97, "kexec_load": 104, "init_module": 105, "delete_module": 106,
    "clock_settime": 112, "syslog": 116, "ptrace": 117, "reboot": 142, "sethostname": 161,
    "setdomainname": 162, "settimeofday": 170, "adjtimex": 171, "socket": 198, "add_key": 217,
    "request_key": 218, "keyctl": 219, "clone": 220, "swapon": 224, "swapoff": 225,
    "migrate_pages": 238, "move_pages": 239, "perf_event_open": 241, "fanotify_init": 262,
    "name_to_handle_at": 264, "open_by_handle_at": 265, "clock_adjtime": 266, "setns": 268,
    "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "finit_module": 273,
    "bpf": 280, "userfaultfd": 282, "kexec_file_load": 294,
}  # fmt: skip
_MACHINES: Final[Mapping[str, tuple[int, Mapping[str, int]]]] = {
    "x86_64": (0xC000003E, _X86_64),
    "aarch64": (0xC00000B7, _AARCH64),
}
_LOOKED_AT: Final = ("ioctl", "socket", "clone", "personality")
_UNKNOWN: Final = ("io_uring_setup", "io_uring_enter", "io_uring_register")
"""Those are said not to exist: programs have another way then."""


@dataclass(frozen=True, slots=True)
class _Test:
    """Go on behind the next ``skip`` instructions unless the test holds."""

    kind: int
    value: int
    holds: int = 0
    fails: int = 0

    def packed(self) -> bytes:
        return struct.pack("HBBI", self.kind, self.holds, self.fails, self.value)


def _answer(value: int) -> bytes:
    return _Test(_RETURN, value).packed()


def _load(place: int) -> bytes:
    return _Test(_LOAD, place).packed()


def assembled(machine: str) -> bytes | None:
    """Return the filter for a kind of machine; ``None`` where its numbers are not known here."""
    if machine not in _MACHINES:
        return None
    audit, own = _MACHINES[machine]
    numbers = {**own, **_SAME}
    refused = _answer(_ERRNO | errno.EPERM)
    parts = [
        _load(_ARCHITECTURE),
        # Another kind of call than this machine's own is a way around every number below.
        _Test(_JUMP_EQUAL, audit, 1, 0).packed(),
        _answer(_KILL),
        _load(_NUMBER),
    ]
    if machine == "x86_64":
        parts += [_Test(_JUMP_GREATER_EQUAL, _X32, 0, 1).packed(), refused]
    for name, number in numbers.items():
        if name not in _LOOKED_AT:
            code = errno.ENOSYS if name in _UNKNOWN else errno.EPERM
            parts += [_Test(_JUMP_EQUAL, number, 0, 1).packed(), _answer(_ERRNO | code)]
    for name in _LOOKED_AT:
        inside = _inside(name)
        parts += [_Test(_JUMP_EQUAL, numbers[name], 0, len(inside)).packed(), *inside]
    return b"".join([*parts, _answer(_ALLOW)])


def _inside(name: str) -> list[bytes]:
    """Return what is asked about the arguments of a call; it ends with an answer."""
    allowed, refused = _answer(_ALLOW), _answer(_ERRNO | errno.EPERM)
    match name:
        case "clone":
            return [
                _load(_FIRST),
                _Test(_JUMP_SET, _NEW_NAMESPACES, 0, 1).packed(),
                refused,
                allowed,
            ]
        case "socket":
            known = [_Test(_JUMP_EQUAL, each, len(_FAMILIES) - place, 0).packed()
                     for place, each in enumerate(_FAMILIES)]  # fmt: skip
            return [_load(_FIRST), *known, _answer(_ERRNO | errno.EAFNOSUPPORT), allowed]
        case "ioctl":
            tests = [_Test(_JUMP_EQUAL, _TIOCSTI, 1, 0), _Test(_JUMP_EQUAL, _TIOCLINUX, 0, 1)]
            return [_load(_SECOND), *(test.packed() for test in tests), refused, allowed]
        case _:  # personality: the usual one, or the question which one it is
            tests = [_Test(_JUMP_EQUAL, 0, 1, 0), _Test(_JUMP_EQUAL, 0xFFFFFFFF, 0, 1)]
            return [_load(_FIRST), *(test.packed() for test in tests), allowed, refused]


FILTER: Final = assembled(platform.machine())
# Made here rather than while somebody waits; the addresses are good in every copy of this process.
_CODE: Final = ctypes.create_string_buffer(FILTER or b"")
_PROGRAM: Final = ctypes.create_string_buffer(
    struct.pack("HxxxxxxP", len(FILTER or b"") // 8, ctypes.addressof(_CODE))
)


def refuse_calls() -> None:
    """Apply the filter to this process and all it starts, for ever. Raises ``OSError``.

    Needs ``no_new_privs``. Does nothing on a machine whose numbers are not known.
    """
    if FILTER is not None:
        calls.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(_PROGRAM))
