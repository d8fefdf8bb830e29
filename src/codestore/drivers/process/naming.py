"""What instances, sockets and files are called under the keeper, and what their labels mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from codestore.domain.manifest import Health

SERVICE, TASK, PRELOAD = "service", "task", "preload"
_HELD = ".held"
_PARENT = "preload."


class Phase(StrEnum):
    """How far a ``command:`` instance has been taken; it cannot say so itself."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Label:
    """What the keeper remembers of a child for us.

    ``since`` is when the phase began, in Unix seconds; 0 means: when the process did. ``health``
    is how to ask it whether it is well; ``None``: it is not to be asked, or nobody knows how.
    ``version`` is the digest of what it runs; empty where a release before us started it. ``disk``
    are the bytes that files of its deployment may take; ``None``: any.
    """

    deployment: str
    kind: str
    revision: int
    ordinal: int
    drain: float
    phase: Phase = Phase.STARTING
    since: float = 0.0
    health: Health | None = None
    version: str = ""
    disk: int | None = None

    def written(self) -> dict[str, str]:
        """Return the label as the keeper keeps it."""
        written = {
            "deployment": self.deployment,
            "kind": self.kind,
            "revision": str(self.revision),
            "ordinal": str(self.ordinal),
            "drain": str(self.drain),
            "phase": self.phase.value,
            "since": str(self.since),
            "version": self.version,
        }
        if self.disk is not None:
            written["disk"] = str(self.disk)
        if self.health:
            written |= {"health": self.health.path or "", "patience": str(self.health.timeout)}
        return written

    @classmethod
    def read(cls, written: Mapping[str, str]) -> "Label | None":
        """Return the label of one of our children; ``None`` for anybody else's.

        A release before us may have written it: what it did not know of yet is missing then.
        """
        if "deployment" not in written:
            return None
        return cls(
            deployment=written["deployment"],
            kind=written["kind"],
            revision=int(written["revision"]),
            ordinal=int(written["ordinal"]),
            drain=float(written["drain"]),
            phase=Phase(written["phase"]),
            since=float(written["since"]),
            health=_health(written),
            version=written.get("version", ""),
            disk=int(written["disk"]) if "disk" in written else None,
        )


def _health(written: Mapping[str, str]) -> Health | None:
    if "health" not in written or "patience" not in written:
        return None
    return Health(written["health"] or None, float(written["patience"]))


def instance_name(deployment: str, revision: int, ordinal: int) -> str:
    """Return the name of an instance; its private socket has the same."""
    return f"{deployment}.{revision}.{ordinal}"


def parent_name(deployment: str, rest: str) -> str:
    """Return the name of a parent that is a deployment's."""
    return f"{_PARENT}{deployment}.{rest}"


def parent_of(name: str) -> str:
    """Return whose parent it is that has this name."""
    return name.removeprefix(_PARENT).partition(".")[0]


def held_socket(deployment: str) -> str:
    """Return the name of the socket at which callers of instances on ports can wait."""
    return f"{deployment}{_HELD}"


def deployment_of(socket: str) -> str:
    """Return whose socket this is: a shared one, a held one, or an instance's own."""
    return socket.partition(".")[0]
