"""Verifications: what was tried from inside each deployment, and what became of it."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class WallView:
    """How many attempts at a kind of wall ended so."""

    refused: int = 0
    reached: int = 0
    not_tried: int = 0


@dataclass(slots=True)
class FindingView:
    """Attempts of one kind that ended alike.

    ``whose`` are the deployments, as in ``shop/staging/blog``, or ``the platform``; those of other
    organizations are ``others``, which are counted and not named.
    """

    wall: str
    tried: str
    verdict: str
    answer: str
    whose: list[str]
    others: int = 0


@dataclass(slots=True)
class VerificationView:
    """The last verification of a deployment; ``project`` and ``service`` are names.

    ``state`` is ``never``, ``asked`` (another one is to come) or ``done``. ``verdict`` is null
    before the first one, else ``refused`` (all is well), ``reached``, or ``unproved``: then
    ``unproved`` says why. ``release`` is the version of the platform that made it.
    """

    deployment: str
    project: str | None
    service: str
    environment: str
    state: str
    asked_by: str | None
    asked_at: datetime | None
    at: datetime | None
    release: str | None
    verdict: str | None
    unproved: str | None
    walls: dict[str, WallView] = field(default_factory=dict)
    findings: list[FindingView] = field(default_factory=list)
