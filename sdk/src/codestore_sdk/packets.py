"""What a parent is told to fork: one packet, JSON and descriptors, for each.

    {"argv": [...], "env": {...}, "cwd": "...", "umask": 63, "keeper": pid, "death_signal": 9,
     "fds": ["gate", "stdout", "stderr", "listener", ...],
     "groups": {"enter": ["/sys/fs/cgroup/.../tasks", ...], "into": "/sys/fs/cgroup/..."}}

`fds` names the packet's descriptors in order. Every name but the first three is a listener's;
without stdout or stderr that output is discarded. `groups`, which may be missing, are the control
groups that bound the service: the files by which a process enters them, and the one of version 2
that it can be forked into, or an empty string.
"""

import json
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# An environment may be as large as Linux lets a packet be, by default; the kernel passes at most
# 253 descriptors at once.
LONGEST = 256 * 1024
MOST_DESCRIPTORS = 253
SERVE = ["-m", "codestore_sdk.serve"]
OUTPUTS = ("stdout", "stderr")

_CUT_OFF = socket.MSG_TRUNC | socket.MSG_CTRUNC
_DESCRIPTOR = struct.Struct("i")


@dataclass(frozen=True, slots=True)
class Groups:
    """The control groups of a service."""

    enter: tuple[str, ...] = ()
    into: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """A service to become. The descriptors are numbers of the process that received them."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    umask: int
    keeper: int
    death_signal: int
    gate: int
    outputs: tuple[int | None, int | None]
    listeners: tuple[int, ...]
    groups: Groups = Groups()


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet as it came, whole or not."""

    data: bytes
    descriptors: tuple[int, ...]
    whole: bool

    def close(self) -> None:
        """Close its descriptors in this process."""
        for descriptor in self.descriptors:
            os.close(descriptor)

    def order(self) -> Order:
        """Return what it asks for. Raises ValueError when it is malformed."""
        if not self.whole:
            raise ValueError("it was cut off")
        match parsed := _parsed(self.data):
            case {
                "argv": list(argv),
                "env": dict(env),
                "cwd": str(cwd),
                "umask": int(umask),
                "keeper": int(keeper),
                "death_signal": int(death_signal),
                "fds": list(names),
            } if argv[1:3] == SERVE and _are_texts([*argv, *env.values()]):
                groups = _groups(parsed.get("groups"))
                descriptors = _sorted(names, self.descriptors)
                return Order(argv, env, cwd, umask, keeper, death_signal, *descriptors, groups)
        raise ValueError("something is missing, of the wrong type, or no service of ours")


def receive(forks: socket.socket) -> Packet | None:
    """Wait for the next packet; None when the other side has gone.

    Without a bound on the time: to wait is what a parent is for, and that end is certain.
    """
    space = socket.CMSG_SPACE(MOST_DESCRIPTORS * _DESCRIPTOR.size)
    try:
        data, ancillary, flags, _ = forks.recvmsg(LONGEST, space, socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return None
    descriptors = tuple(
        descriptor
        for level, kind, payload in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (descriptor,) in _DESCRIPTOR.iter_unpack(payload)
    )
    if not data and not descriptors:
        return None
    return Packet(data, descriptors, whole=not flags & _CUT_OFF)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _are_texts(values: Sequence[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _groups(given: object) -> Groups:
    match given:
        case None:
            return Groups()
        case {"enter": list(enter), "into": str(into)} if _are_texts(enter):
            return Groups(tuple(enter), into)
    raise ValueError("its groups are no groups")


def _sorted(
    names: Sequence[Any], descriptors: Sequence[int]
) -> tuple[int, tuple[int | None, int | None], tuple[int, ...]]:
    """Return the gate, the outputs and the listeners."""
    special: dict[str, int] = {}
    listeners = []
    for name, descriptor in zip(names, descriptors, strict=True):
        if name not in ("gate", *OUTPUTS):
            listeners.append(descriptor)
        elif special.setdefault(name, descriptor) != descriptor:
            raise ValueError(f"it has more than one {name}")
    if "gate" not in special:
        raise ValueError("it has no gate")
    stdout, stderr = (special.get(name) for name in OUTPUTS)
    return special["gate"], (stdout, stderr), tuple(listeners)
