"""How promises were kept: a month of every deployment that something is promised of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from codestore.actions import queries
from codestore.actions.office import Office, find_project
from codestore.actions.queries import Placed
from codestore.domain.budgeting import Burn, burn_of
from codestore.domain.canary import Tally
from codestore.domain.conditions import Condition, ConditionType, find
from codestore.domain.events import Event, EventKind
from codestore.domain.promise import (
    MINUTE,
    PROMISED,
    Budget,
    Minute,
    month_named,
    month_of,
    worst,
)
from codestore.domain.services import User
from codestore.ports import Records

WORST = 10  # minutes that are told
_HOURS = 500  # that are searched for them: more than those needed, for the sake of equals
_UNTOLD = (
    EventKind.STEP_STARTED,
    EventKind.STEP_DONE,
    EventKind.BUDGET_BURNING,
    EventKind.BUDGET_CALM,
)
"""Events that explain no bad minute: there are too many of them, or the minute explains them."""
_MOST_EVENTS = 200  # of a minute and the one before


@dataclass(frozen=True, slots=True)
class Kept:
    """How the promise of a deployment was kept; ``burn`` is an alarm that goes on."""

    placed: Placed
    budget: Budget
    burn: Burn | None
    told: Condition | None


@dataclass(frozen=True, slots=True)
class BadMinute:
    """A minute in which requests failed, with what happened in it and in the one before."""

    placed: Placed
    minute: Minute
    events: list[Event]


@dataclass(frozen=True, slots=True)
class Sla:
    """A month: what was kept of each promise until ``until``, and the worst minutes of all."""

    month: datetime
    until: datetime
    kept: list[Kept]
    worst: list[BadMinute]


async def sla(office: Office, user: User, project: str | None, month: str | None) -> Sla:
    """Return how the promises of a project, or of all, were kept in a month that is kept."""
    now = office.clock.now()
    since = month_of(now) if month is None else month_named(month, now)
    end = month_of(since, 1)
    equal = {}
    if project is not None:
        async with office.store.begin() as records:
            equal["project"] = (await find_project(records, user, project)).id
    placed = await _promised(office, user, **equal)
    async with office.store.begin() as records:
        budgets = await _budgets(records, placed, since, end)
        failing = [id_ for id_, budget in budgets.items() if budget.tally.failures]
        hours = await records.tallies.worst(failing, since, end, _HOURS) if failing else []
        by_id = {held.deployment.id: held for held in placed}
        bad = [
            BadMinute(by_id[minute.deployment], minute, await _events(records, minute))
            for minute in worst(hours, WORST)
        ]
    kept = [_kept(held, budgets[held.deployment.id], now < end) for held in placed]
    return Sla(since, min(now, end), kept, bad)


async def budgets(office: Office, placed: Sequence[Placed]) -> Mapping[str, Budget]:
    """Return the budgets of the present month, by id, of those that have one."""
    now = office.clock.now()
    async with office.store.begin() as records:
        return await _budgets(records, placed, month_of(now), month_of(now, 1))


async def _promised(office: Office, user: User, **equal: str) -> list[Placed]:
    found: list[Placed] = []
    for kind in PROMISED:
        found += await queries.census(office, user, kind=kind.value, **equal)
    return sorted(found, key=lambda held: (held.project, held.service, held.environment))


async def _budgets(
    records: Records, placed: Sequence[Placed], since: datetime, end: datetime
) -> dict[str, Budget]:
    promises = {
        held.deployment.id: PROMISED[held.deployment.kind]
        for held in placed
        if held.deployment.kind in PROMISED
    }
    sums = await records.tallies.sums(promises, since, end) if promises else {}
    return {id_: Budget(each, sums.get(id_, Tally())) for id_, each in promises.items()}


async def _events(records: Records, minute: Minute) -> list[Event]:
    during = minute.at - MINUTE, minute.at + MINUTE
    found = await records.events(0, _MOST_EVENTS, during=during, deployment=minute.deployment)
    return [event for event in found if event.kind not in _UNTOLD]


def _kept(held: Placed, budget: Budget, present: bool) -> Kept:
    """What burns does so now, and not in a month that is over."""
    burn = burn_of(held.deployment) if present else None
    told = find(held.deployment.status.conditions, ConditionType.WITHIN_BUDGET)
    return Kept(held, budget, burn, told if burn is not None else None)
