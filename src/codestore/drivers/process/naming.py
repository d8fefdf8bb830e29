"""What instances, sockets and files are called under the keeper, and what their labels mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

SERVICE, TASK = "service", "task"


class Phase(StrEnum):
    """How far a ``command:`` instance has been taken; it cannot say so itself."""

    STARTING = "starting"
    READY = "ready"
    SERVING = "serving"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Label:
    """What the keeper remembers of a child for us. ``port`` is 0 for socket instances.

    ``since`` is when the phase began, in Unix seconds; 0 means: when the process did.
    """

    deployment: str
    kind: str
    revision: int
    ordinal: int
    drain: float
    port: int = 0
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
            "port": str(self.port),
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
            port=int(written["port"]),
            phase=Phase(written["phase"]),
            since=float(written["since"]),
        )


def instance_name(deployment: str, revision: int, ordinal: int) -> str:
    """Return the name of an instance; its private socket has the same."""
    return f"{deployment}.{revision}.{ordinal}"
