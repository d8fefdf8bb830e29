"""Conditions: what is true of a deployment, why, and since when. Ready is computed from them."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


class ConditionType(StrEnum):
    """What a condition speaks of."""

    ROLLED_OUT = "rolled_out"  # the wanted generation is the one that serves
    AVAILABLE = "available"  # requests are answered


class Truth(StrEnum):
    """True, false, or not known (yet)."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """One statement. ``since`` moves only when ``truth`` or ``reason`` does."""

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
    if old is not None and (old.truth, old.reason) == (new.truth, new.reason):
        new = replace(new, since=old.since)
    return (*(held for held in conditions if held.type is not new.type), new)
