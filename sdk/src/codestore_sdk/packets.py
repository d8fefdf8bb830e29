"""What a parent is told to fork: one packet, JSON and descriptors, for each.

    {"argv": [...], "env": {...}, "cwd": "...", "umask": 63, "keeper": pid, "death_signal": 9,
     "fds": ["gate", "stdout", "stderr", "enter", "into", "listener", ...]}

`fds` names the packet's descriptors in order. Without stdout or stderr that output is discarded.
`enter`, of which there may be several, are files of the control groups that bound the service, open
for writing: whoever writes 0 there is inside. `into` is the folder of the one of version 2 that it
can be forked into. Every other name is a listener's.
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
    """The control groups of a service, as descriptors."""

    enter: tuple[int, ...] = ()
    into: int | None = None


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
        match _parsed(self.data):
            case {
                "argv": list(argv),
                "env": dict(env),
                "cwd": str(cwd),
                "umask": int(umask),
                "keeper": int(keeper),
                "death_signal": int(death_signal),
                "fds": list(names),
            } if argv[1:3] == SERVE and _are_texts([*argv, *env.values()]):
                descriptors = _sorted(names, self.descriptors)
                return Order(argv, env, cwd, umask, keeper, death_signal, *descriptors)
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


def _sorted(
    names: Sequence[Any], descriptors: Sequence[int]
) -> tuple[int, tuple[int | None, int | None], tuple[int, ...], Groups]:
    """Return the gate, the outputs, the listeners and the groups."""
    special: dict[str, int] = {}
    listeners, enter = [], []
    for name, descriptor in zip(names, descriptors, strict=True):
        if name == "enter":
            enter.append(descriptor)
        elif name not in ("gate", "into", *OUTPUTS):
            listeners.append(descriptor)
        elif special.setdefault(name, descriptor) != descriptor:
            raise ValueError(f"it has more than one {name}")
    if "gate" not in special:
        raise ValueError("it has no gate")
    stdout, stderr = (special.get(name) for name in OUTPUTS)
    groups = Groups(tuple(enter), special.get("into"))
    return special["gate"], (stdout, stderr), tuple(listeners), groups
