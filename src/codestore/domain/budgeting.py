"""When an error budget burns too fast: multi-window burn rates, as in Google's SRE workbook.

A burn rate is how many times as many requests fail as the promise allows: at 1 the budget of a
month lasts a month, at 14.4 two days. An alarm wants it over a long window, so that it matters,
and over a short one, so that it is going on; it ends with the short window.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from codestore.domain.conditions import Condition, ConditionType, Truth, find, marked
from codestore.domain.deployments import Deployment
from codestore.domain.promise import HOUR, Budget, Hour, error_rate, window

FEWEST = 5
"""Failures in the long window below which no alarm begins.

In a quiet night one failure of ten requests is a burn rate of 100, and chance. A service that fails
one request in a thousand by chance, and so keeps its promise, had in 60 simulated months at 10 to
600 requests an hour up to 59 fast or steady alarms a month without this, 2 with 3 failures, and
one in seven months with 5. An outage of half an hour is told even where ten requests an hour come.
"""
ENOUGH = 20
"""Requests that a short window must hold to tell anything; with fewer it is taken longer."""


@dataclass(frozen=True, slots=True)
class Burn:
    """An alarm: a burn rate that must be exceeded over both windows; ``pace`` is its name."""

    pace: str
    rate: float
    long: timedelta
    short: timedelta

    @property
    def reason(self) -> str:
        """Its word in a condition."""
        return f"Burning{self.pace.capitalize()}"


BURNS = (
    Burn("fast", 14.4, timedelta(hours=1), timedelta(minutes=5)),
    Burn("steadily", 6.0, timedelta(hours=6), timedelta(minutes=30)),
    Burn("slowly", 1.0, timedelta(days=3), timedelta(hours=6)),
)
"""The fastest first: 2 %, 5 % and 10 % of a budget of 30 days are gone when it begins."""
LONGEST = max(burn.long for burn in BURNS)
LONGEST_SHORT = max(burn.short for burn in BURNS)
"""What had no failure for so long does not burn."""


def burning(
    hours: Sequence[Hour], promise: float, now: datetime, before: Burn | None
) -> Burn | None:
    """Return the fastest alarm there is, if any.

    The one from ``before`` stays as long as its short window burns; and as long as its long one
    does while there is another alarm, for what comes and goes is one outage.
    """

    def burns(burn: Burn, length: timedelta) -> bool:
        seen = window(hours, now, length)
        while seen.requests < ENOUGH and length < burn.long:
            length += burn.short
            seen = window(hours, now, length)
        return error_rate(seen) > burn.rate * (1 - promise)

    found = [
        burn
        for burn in BURNS
        if window(hours, now, burn.long).failures >= FEWEST
        and burns(burn, burn.long)
        and burns(burn, burn.short)
    ]
    if before and (burns(before, before.short) or (found and burns(before, before.long))):
        found.append(before)
    return max(found, key=lambda burn: burn.rate, default=None)


def burn_of(deployment: Deployment) -> Burn | None:
    """Return the alarm that a deployment's condition tells of."""
    told = find(deployment.status.conditions, ConditionType.WITHIN_BUDGET)
    return next((burn for burn in BURNS if told is not None and told.reason == burn.reason), None)


def faster(burn: Burn | None, before: Burn | None) -> bool:
    """Whether an alarm begins: there was none before, or a slower one."""
    return burn is not None and (before is None or burn.rate > before.rate)


def told(burn: Burn | None, hours: Sequence[Hour], budget: Budget, now: datetime) -> str:
    """Say what an alarm has seen, or that it is over, and what is left of the month's budget."""
    left = f"{int(budget.left * 100)}%" if budget.left > 0 else "nothing"
    ending = f"{left} of this month's is left"
    if burn is None:
        return f"The error budget no longer burns faster than promised; {ending}."
    seen, length = window(hours, now, burn.long), burn.long // HOUR
    rate = error_rate(seen) / (1 - budget.promise)
    times = f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
    return (
        f"The error budget burns {burn.pace}: {seen.failures:,} of {seen.requests:,} requests "
        f"failed in {length} h, {times} times as many as promised; {ending}."
    )


def mark_budget(
    deployment: Deployment, burn: Burn | None, message: str, now: datetime
) -> Deployment:
    """State whether the error budget burns too fast, and which alarm tells so."""
    truth, reason = (Truth.TRUE, "Calm") if burn is None else (Truth.FALSE, burn.reason)
    generation = deployment.spec.generation
    statement = Condition(ConditionType.WITHIN_BUDGET, truth, reason, message, now, generation)
    conditions = marked(deployment.status.conditions, statement)
    return replace(deployment, status=replace(deployment.status, conditions=conditions))
