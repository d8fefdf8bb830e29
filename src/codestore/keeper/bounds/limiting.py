"""Bounds on what a child may use: memory and processor time, where the system lets us.

``limits`` has the way by control groups. A child is inside its bounds before any of its own code
runs, and whoever it starts is inside them, too.
"""

from pathlib import Path
from typing import Protocol

MEMORY, CPU = "memory", "cpu"


class Bounds(Protocol):
    """What bounds one run of a child."""

    @property
    def enter(self) -> tuple[str, ...]:
        """The files to which a process of one thread writes ``0`` to be inside."""

    @property
    def folder(self) -> Path | None:
        """The control group of version 2 that it runs in: it can be forked right into that."""

    def limit(self, memory: int | None, cpu: float | None) -> None:
        """Set what may be used, where nothing was set before: bytes, and cores. Never raises."""

    async def admit(self, pid: int) -> bool:
        """Move a process of one thread inside, unless it is; tell whether it is.

        May take its time. Never raises.
        """

    def shortage(self) -> str:
        """Return why the kernel has ended processes in it, if it has since this was asked last."""

    def release(self) -> None:
        """It has ended: leave nothing behind. Idempotent."""


class Limiter(Protocol):
    """Makes bounds."""

    @property
    def name(self) -> str:
        """``cgroup v1``, ``cgroup v2`` or ``none``."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """What can be bounded: ``memory``, ``cpu``."""

    def bounds(self, memory: int | None, cpu: float | None) -> Bounds | None:
        """Return bounds for a child that is about to be started: bytes, and cores. Never raises."""

    def spare(self) -> Bounds | None:
        """Return bounds for a child of which nothing is known yet. Never raises."""

    def close(self) -> None:
        """Leave nothing behind; every child has ended."""


class NoLimiter:
    """Works everywhere, and bounds nothing."""

    name = "none"
    kinds: tuple[str, ...] = ()

    def bounds(self, memory: int | None, cpu: float | None) -> Bounds | None:
        """Return nothing."""
        return None

    def spare(self) -> Bounds | None:
        """Return nothing."""
        return None

    def close(self) -> None:
        """Nothing is left."""
