"""What can be turned at any time, even while a change is under way: none of it is one."""

from dataclasses import dataclass, fields, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """An environment stays at a version: who wants that, since when, and why."""

    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Dials:
    """``scale`` is how many instances the load asks for (``None``: nobody measured it).

    ``hold`` keeps the version; ``paused`` lets a canary stand still; ``aborted_by`` is who wants
    the change under way to be given up.
    """

    scale: int | None = None
    hold: Hold | None = None
    paused: bool = False
    aborted_by: str | None = None


def undisturbed(dials: Dials) -> Dials:
    """Return the dials as they are when no change is under way."""
    return replace(dials, paused=False, aborted_by=None)


def turned(before: Dials, ours: Dials, theirs: Dials) -> Dials:
    """Return both changes of the same dials; where both turned one, it is as ``theirs``."""
    changed = {
        each.name: getattr(theirs, each.name)
        for each in fields(Dials)
        if getattr(theirs, each.name) != getattr(before, each.name)
    }
    return replace(ours, **changed)
