"""The platform itself."""

from dataclasses import dataclass


@dataclass(slots=True)
class Processes:
    """Process ids; ``postgres`` is null when the server is not the platform's own."""

    keeper: int | None
    control: int
    envoy: int | None
    postgres: int | None


@dataclass(slots=True)
class StatusView:
    """The platform itself."""

    version: str
    url: str
    data: str
    state: str
    processes: Processes
    deployments: dict[str, int]
