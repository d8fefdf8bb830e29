"""What a walled child may see."""

from dataclasses import dataclass
from typing import Final

SYSTEM: Final = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store",
    "/run/current-system/sw",
)  # fmt: skip
"""Programs and libraries of the host."""

SETTINGS: Final = (
    "alternatives", "ca-certificates", "crypto-policies", "debian_version", "fonts", "gai.conf",
    "host.conf", "hosts", "java-17-openjdk", "java-21-openjdk", "ld.so.cache", "ld.so.conf",
    "ld.so.conf.d", "locale.alias", "localtime", "machine-id", "magic", "magic.mime", "mime.types",
    "networks", "nsswitch.conf", "os-release", "pki", "protocols", "resolv.conf", "rpc", "services",
    "ssl", "terminfo", "timezone", "xdg",
)  # fmt: skip
"""What programs read in ``/etc``, and nobody's secret."""

DEVICES: Final = ("null", "zero", "full", "random", "urandom")


@dataclass(frozen=True, slots=True)
class View:
    """What a child sees beside the system's programs: absolute paths, at which it finds them.

    ``read`` are folders and files that it may not change, ``write`` those that are its own.
    ``home`` is its user's home, ``name`` what its host and its user are called. What is not there
    is not seen either. ``/tmp`` is in memory, and its own in any case. ``hosts_network``: it is in
    the network of the host, as befits who runs no code of strangers.
    """

    read: tuple[str, ...]
    write: tuple[str, ...]
    home: str
    name: str = "service"
    hosts_network: bool = False

    @property
    def wholly(self) -> list[tuple[str, bool]]:
        """Every path with whether it may be changed: what lies inside another one comes later."""
        known = dict.fromkeys(self.read, False) | dict.fromkeys(self.write, True)
        return sorted(known.items())
