"""Programs that a build runs over what strangers wrote."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Program:
    """A program, completely described: its words and its whole environment; absolute paths.

    ``reads`` and ``writes`` are all that it needs of the host beside the system's own programs,
    its ``folder`` among them. ``timeout`` is in seconds; ``secrets`` are names of variables.
    """

    words: tuple[str, ...]
    folder: str
    environment: Mapping[str, str] = field(repr=False)
    timeout: float
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, and the last of what it wrote to its standard error."""

    code: int
    output: str


class Programs(Protocol):
    """Runs programs to their end, with as little of the host in view as can be had."""

    @property
    def user(self) -> tuple[int, int] | None:
        """The user and group that they run as, who must own what they write; ``None``: ours."""

    async def run(self, program: Program) -> Ended:
        """Run and wait. Raises ``TimeoutError``.

        Then, and when cancelled, the program and all whom it started are killed.
        """
