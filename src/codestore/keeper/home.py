"""What all children of one keeper share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from codestore.keeper.bounds.freezing import Freezer
from codestore.keeper.bounds.limiting import Limiter
from codestore.keeper.journal import Journal
from codestore.keeper.protocol.messages import Event
from codestore.keeper.reaper import Reaper
from codestore.keeper.run import Run
from codestore.keeper.sockets.forwarding import Forwards
from codestore.keeper.sockets.listeners import Listeners
from codestore.keeper.sockets.waking import Waker
from codestore.keeper.spawning.spares import Spares
from codestore.keeper.walls.picking import NO_WALLS, Walls


class Leader(Protocol):
    """Who hears what is said by sd_notify in its session."""

    def heard(self, variables: Mapping[str, str]) -> None:
        """Take it in."""


@dataclass(frozen=True, slots=True)
class Home:
    """Made once. ``leaders`` are the running children by pid, ``runs`` their runs by name."""

    listeners: Listeners
    forwards: Forwards
    waker: Waker
    freezer: Freezer
    limiter: Limiter
    reaper: Reaper
    journal: Journal
    publish: Callable[[Event], None]
    notify: str
    logs: Path
    runs: dict[str, Run]
    spares: Spares
    walls: Walls = NO_WALLS
    leaders: dict[int, Leader] = field(default_factory=dict)
