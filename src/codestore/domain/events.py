"""Events: what happened to a deployment, in order, for people and for whoever waits."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from codestore.domain.deployments import Deployment
from codestore.domain.faults import Letter


class EventKind(StrEnum):
    """What an event tells."""

    ASKED = "asked"
    STEP_STARTED = "step_started"
    STEP_DONE = "step_done"
    STEP_FAILED = "step_failed"
    LIVE = "live"
    FAILED = "failed"
    DEGRADED = "degraded"
    RECOVERED = "recovered"
    INSTANCE_ENDED = "instance_ended"
    STANDBY = "standby"
    WOKEN = "woken"
    WAKE_FAILED = "wake_failed"
    SCALED = "scaled"
    CANARY = "canary"
    RETURNING = "returning"
    HELD = "held"
    RELEASED = "released"
    REVEALED = "revealed"
    BUDGET_BURNING = "budget_burning"
    BUDGET_CALM = "budget_calm"
    KEYS = "keys"
    BREACHED = "breached"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. ``sequence`` is given by the store (0 before that).

    ``duration`` is in seconds, for steps that ended; ``letter`` tells of a fault.
    """

    deployment: str
    service: str
    environment: str
    project: str | None
    generation: int
    kind: EventKind
    message: str
    at: datetime
    step: str | None = None
    duration: float | None = None
    letter: Letter | None = None
    sequence: int = 0


def event_of(
    deployment: Deployment,
    kind: EventKind,
    message: str,
    now: datetime,
    letter: Letter | None = None,
) -> Event:
    """Return an event of this deployment's present generation."""
    return Event(
        deployment=deployment.id,
        service=deployment.service,
        environment=deployment.environment,
        project=deployment.project,
        generation=deployment.spec.generation,
        kind=kind,
        message=message,
        at=now,
        letter=letter,
    )
