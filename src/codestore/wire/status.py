"""The platform itself."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Processes:
    """Process ids; ``postgres`` is null when the server is not the platform's own."""

    keeper: int | None
    control: int
    envoy: int | None
    postgres: int | None


@dataclass(slots=True)
class Walls:
    """How services are kept apart: ``kind`` is ``cell``, ``landlock`` or ``none``.

    ``why`` says what is in the way of a cell; it is empty when there is one. ``exposed`` says why
    services in cells share the host's network; it is empty when each has its own.
    """

    kind: str = "none"
    why: str = ""
    exposed: str = ""


@dataclass(slots=True)
class StatusView:
    """The platform itself."""

    version: str
    url: str
    data: str
    state: str
    processes: Processes
    deployments: dict[str, int]
    walls: Walls = field(default_factory=Walls)
