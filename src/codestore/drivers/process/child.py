"""One child of ours under the keeper, as far as it has been told of."""

import time
from dataclasses import dataclass

from codestore.drivers.process.launching import FINAL_GRACE
from codestore.drivers.process.naming import Label
from codestore.keeper.protocol.messages import ChildView, Exited

GOODBYE = 10.0  # seconds that a command has to end


@dataclass(frozen=True, slots=True)
class Child:
    """A child of ours. ``ending`` says how it ended, once it has. Unix seconds.

    ``port`` is where it listens, 0 when it accepts from sockets; ``frozen_at`` is 0 when it runs.
    """

    name: str
    pid: int
    label: Label
    started_at: float
    ready: bool = False
    status: str = ""
    ending: str | None = None
    port: int = 0
    frozen_at: float = 0.0
    stopping: bool = False


def child_of(view: ChildView) -> Child | None:
    """Return what the keeper lists as a child of ours; ``None`` if it is nobody's or another's."""
    label = Label.read(view.label)
    if label is None:
        return None
    ending = None if view.running else ending_of(view)
    return Child(
        view.name,
        view.pid,
        label,
        view.started_at,
        view.ready,
        view.status,
        ending,
        view.port,
        time.time() if view.frozen else 0.0,
        view.stopping,
    )


def ended(child: Child | None) -> bool:
    """Whether a child has ended, or is not there at all."""
    return child is None or child.ending is not None


def farewell(child: Child) -> float:
    """Return the seconds that a child has to end well, once it is asked to."""
    return GOODBYE if child.port else child.label.drain + FINAL_GRACE


def ending_of(ended: Exited | ChildView) -> str:
    """Return how a child has ended, in words."""
    if ended.cause:
        return ended.cause
    return f"killed by {ended.signal}" if ended.signal else f"exit code {ended.code}"
