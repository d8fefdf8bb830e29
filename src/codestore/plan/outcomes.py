"""How steps ended: "again" or "never" is a type, and only the loop retries."""

from dataclasses import dataclass

from codestore.domain.faults import Fault
from codestore.plan.steps import Step


@dataclass(frozen=True, slots=True)
class Done:
    """The step was done; ``took`` seconds."""

    step: Step
    took: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The step was not done; ``final`` when trying again cannot help."""

    step: Step
    fault: Fault
    final: bool
    took: float


Outcome = Done | Failed
