"""Conditions: what is true of a deployment, why, and since when. Ready is computed from them."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


class ConditionType(StrEnum):
    """What a condition speaks of."""

    ROLLED_OUT = "rolled_out"  # the wanted generation is the one that serves
    AVAILABLE = "available"  # requests are answered
    AWAKE = "awake"  # it runs; if not, the next request wakes it
    WITHIN_BUDGET = "within_budget"  # failures do not eat the month's error budget too fast


class Truth(StrEnum):
    """True, false, or not known (yet)."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """One statement. ``since`` moves when ``truth`` or ``reason`` does, or with another change."""

    type: ConditionType
    truth: Truth
    reason: str
    message: str
    since: datetime
    generation: int


Conditions = tuple[Condition, ...]


def find(conditions: Conditions, type_: ConditionType) -> Condition | None:
    """Return the condition of a type, if it was ever stated."""
    return next((held for held in conditions if held.type is type_), None)


def marked(conditions: Conditions, new: Condition) -> Conditions:
    """Return the conditions with ``new`` in place of the one of its type."""
    old = find(conditions, new.type)
    if old is not None and _goes_on(old, new):
        new = replace(new, since=old.since)
    return (*(held for held in conditions if held.type is not new.type), new)


def _goes_on(old: Condition, new: Condition) -> bool:
    """That requests are answered goes on through a change; that one was made does not."""
    same = (old.truth, old.reason) == (new.truth, new.reason)
    return same and (new.type is ConditionType.AVAILABLE or old.generation == new.generation)
