"""What goes into a plan and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from codestore.domain.canary import Trial
from codestore.domain.faults import Letter
from codestore.domain.instances import View, Wake
from codestore.domain.routing import Route
from codestore.domain.standby import Standby
from codestore.plan.steps import Step


@dataclass(frozen=True, slots=True)
class Observed:
    """The world as the doors told it. ``active`` counts requests under way, by address.

    ``idle_since`` is when the last request ended (or was first looked for); ``None`` when one is
    under way, or nobody has looked yet. ``canary`` is what became of the new version's share.
    ``logins`` are those by which the database can be entered. ``route`` is what the gateway has
    confirmed; ``routed``: there may be one, until it has confirmed that there is none.
    """

    view: View = field(default_factory=View)
    database: bool = False
    logins: frozenset[int] = frozenset({0})
    artifact: bool = False
    route: Route | None = None
    routed: bool = False
    active: Mapping[str, int] = field(default_factory=dict)
    idle_since: datetime | None = None
    canary: Trial | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A step and why it is due."""

    step: Step
    reason: str


class Verdict(StrEnum):
    """Where the deployment stands once the steps of this plan are done."""

    WORKING = "working"
    REACHED = "reached"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is due now, in order; when to look again if nothing else happens before.

    ``standby`` is how the deployment sleeps by then; ``None`` when it is awake.
    ``woke`` is the last wake that was observed. ``failing`` says what is wrong with an instance
    that serves; ``returning`` why the version before is to come back; ``canary`` what had become of
    a canary's requests.
    """

    due: tuple[Planned, ...] = ()
    verdict: Verdict = Verdict.WORKING
    next_look: datetime | None = None
    serving: int = 0
    wanted: int = 0
    standby: Standby | None = None
    woke: Wake | None = None
    failing: str | None = None
    returning: Letter | None = None
    canary: Trial | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is due and nothing is waited for."""
        return not self.due and self.next_look is None
