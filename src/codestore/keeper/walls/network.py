"""The network of a cell: a namespace of its own, which ``pasta`` connects with the outside.

Inside there are a loopback of its own, on which chosen ports of the host's are found, and one way
out. What leads to the host itself, or to whoever gives machines their secrets, leads nowhere. The
routes are laid while we have the right to, and nobody inside has it.

``pasta`` (of the package passt) is a process for each namespace, which passes on what comes out
of it by ordinary sockets of the host's, and says when it is ready.
"""

import fcntl
import os
import re
import shutil
import signal
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from codestore.keeper import processes

PROGRAM: Final = shutil.which(
    "pasta", path="/usr/bin:/bin:/usr/local/bin:/run/current-system/sw/bin"
)
LOOPBACK: Final = "127.0.0.1"
RESOLVER: Final = "192.0.0.3"
"""The address at which a cell finds the host's own resolver of names."""
_OWN, _ROUTER, _BITS = "192.0.0.2", "192.0.0.1", "29"  # nobody's on the internet: RFC 7335
_OWN_DEVICE, _HARDWARE = "out", "02:00:00:00:00:01"
_TUNNEL: Final = "/dev/net/tun"
_ALL: Final = "255.255.255.255"
_METADATA: Final = (
    ("169.254.0.0", "255.255.0.0"),  # of most clouds; in any case of nobody far away
    ("100.100.100.200", _ALL),  # Alibaba
    ("168.63.129.16", _ALL),  # Azure
    ("192.0.0.192", _ALL),  # Oracle
)
_SIOCADDRT, _SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x890B, 0x8913, 0x8914
_IFF_UP: Final = 1
_RTF_UP, _RTF_HOST, _RTF_REJECT = 0x1, 0x4, 0x200
_INTERFACE: Final = struct.Struct("16sh22x")  # struct ifreq
_ROUTE: Final = struct.Struct("L16s16s16sHhLPhPLLH")  # struct rtentry
_ADDRESS: Final = struct.Struct("=H2x4s8x")  # struct sockaddr_in


@dataclass(frozen=True, slots=True)
class Network:
    """How cells are connected: by a program. They find these ports of the host's loopback."""

    program: str
    reach: tuple[int, ...] = ()

    def arguments(self, root: bool, port: int) -> list[str]:
        """Return the command that connects a namespace; 0, 1 and 2 are the descriptors it has.

        ``port``: whoever calls this port of the host's loopback is led to the same one inside.
        """
        # With the host's loopback for a model, and addresses of our own, it does not matter
        # which networks the host has, or whether it has any just now.
        found = ",".join(map(str, self.reach)) or "none"
        led = f"{LOOPBACK}/{port}" if port else "none"
        fixed = ["-f", "-q", "-4", "--config-net", "--no-map-gw", "--no-netns-quit"]
        ports = ["-t", led, "-u", "none", "-T", found, "-U", "none"]
        place = ["-i", "lo", "-I", _OWN_DEVICE, "-M", _HARDWARE]
        addresses = ["-a", _OWN, "-n", _BITS, "-g", _ROUTER, "--dns-forward", RESOLVER]
        # As somebody else it could not enter a namespace of root's.
        who = ["--runas", "0", "--netns-only"] if root else ["--userns", "/proc/self/fd/2"]
        spaces = ["--netns", "/proc/self/fd/0", "-P", "/proc/self/fd/1"]
        return [self.program, *fixed, *ports, *place, *addresses, *who, *spaces]


def find(reach: Iterable[int]) -> Network:
    """Return how cells could be connected here. Raises ``OSError`` with what is missing."""
    if PROGRAM is None:
        raise FileNotFoundError(0, "install pasta (on Debian and Ubuntu: apt-get install passt)")
    if not os.access(_TUNNEL, os.R_OK | os.W_OK):
        raise PermissionError(0, f"{_TUNNEL} may not be opened by the user of the platform")
    return Network(PROGRAM, tuple(sorted(set(reach))))


def addresses_of_host() -> list[str]:
    """Return the IPv4 addresses that lead to this host from itself, but for its loopback's."""
    table = Path("/proc/net/fib_trie").read_text()
    found = set(re.findall(r"-- (\S+)\n\s+/32 host LOCAL", table))
    return sorted(each for each in found if not each.startswith("127."))


def close_off(host: Iterable[str]) -> socket.socket:
    """Furnish a namespace that is new; return a TCP socket that is in there for ever.

    ``host`` are addresses that lead nowhere, beside those of metadata. Raises ``OSError``.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        asked = fcntl.ioctl(control, _SIOCGIFFLAGS, _INTERFACE.pack(b"lo", 0))
        name, flags = _INTERFACE.unpack(asked)
        fcntl.ioctl(control, _SIOCSIFFLAGS, _INTERFACE.pack(name, flags | _IFF_UP))
        for address, mask in (*_METADATA, *((each, _ALL) for each in host)):
            fcntl.ioctl(control, _SIOCADDRT, _nowhere(address, mask))
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def _nowhere(address: str, mask: str) -> bytes:
    """Return a route by which nothing gets anywhere; whoever tries is told so at once."""
    packed = [_ADDRESS.pack(socket.AF_INET, socket.inet_aton(each)) for each in (address, mask)]
    flags = _RTF_UP | _RTF_REJECT | (_RTF_HOST if mask == _ALL else 0)
    return _ROUTE.pack(0, packed[0], bytes(16), packed[1], flags, 0, 0, 0, 0, 0, 0, 0, 0)


def carry(command: list[str], line: socket.socket, ready: int, alive: int) -> NoReturn:
    """Become the program for a namespace that is sent along ``line``, when it is.

    A second descriptor is its user namespace. Something is written to ``ready`` when it is
    connected; ``alive`` is readable when the keeper has ended, whose child this is. All signals
    must be blocked.
    """
    try:
        processes.die_with_parent(signal.SIGKILL)
        if processes.speaks(alive, 0):
            os._exit(1)
        os.setsid()
        _, spaces, _, _ = socket.recv_fds(line, 1, 2)
        if not spaces:
            os._exit(1)
        net, user = spaces[0], spaces[1] if spaces[1:] else os.open(os.devnull, os.O_WRONLY)
        for place, each in enumerate((net, ready, user)):
            os.dup2(each, place)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # it does not bear to find it ignored
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(command[0], command, {})  # noqa: S606 - no shell wanted
    finally:
        os._exit(1)
