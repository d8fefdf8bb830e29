"""What instances, sockets and files are called under the keeper, and what their labels mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

SERVICE, TASK, PRELOAD = "service", "task", "preload"
_HELD = ".held"


class Phase(StrEnum):
    """How far a ``command:`` instance has been taken; it cannot say so itself."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Label:
    """What the keeper remembers of a child for us.

    ``since`` is when the phase began, in Unix seconds; 0 means: when the process did.
    """

    deployment: str
    kind: str
    revision: int
    ordinal: int
    drain: float
    phase: Phase = Phase.STARTING
    since: float = 0.0

    def written(self) -> dict[str, str]:
        """Return the label as the keeper keeps it."""
        return {
            "deployment": self.deployment,
            "kind": self.kind,
            "revision": str(self.revision),
            "ordinal": str(self.ordinal),
            "drain": str(self.drain),
            "phase": self.phase.value,
            "since": str(self.since),
        }

    @classmethod
    def read(cls, written: Mapping[str, str]) -> "Label | None":
        """Return the label of one of our children; ``None`` for anybody else's."""
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
        )


def instance_name(deployment: str, revision: int, ordinal: int) -> str:
    """Return the name of an instance; its private socket has the same."""
    return f"{deployment}.{revision}.{ordinal}"


def held_socket(deployment: str) -> str:
    """Return the name of the socket at which callers of instances on ports can wait."""
    return f"{deployment}{_HELD}"


def deployment_of(socket: str) -> str:
    """Return whose socket this is, where callers come."""
    return socket.removesuffix(_HELD)
