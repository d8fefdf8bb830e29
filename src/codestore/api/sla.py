"""How promises were kept, as it crosses HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query

from codestore.actions.sla import BadMinute, Kept, Sla
from codestore.actions.sla import sla as ask
from codestore.api import views
from codestore.api.desk import DeskDep, UserDep
from codestore.wire.sla import BurningView, MinuteView, PromiseView, SlaView

router = APIRouter(prefix="/api", tags=["watching"])


@router.get("/sla")
async def sla(
    desk: DeskDep,
    user: UserDep,
    project: Annotated[str | None, Query(max_length=100)] = None,
    month: Annotated[str | None, Query(max_length=100)] = None,
) -> SlaView:
    """Tell how promises were kept, this month or in one before (as in 2026-03)."""
    return sla_view(await ask(desk.office, user, project, month))


def sla_view(found: Sla) -> SlaView:
    """Show a month of promises."""
    return SlaView(
        month=f"{found.month:%Y-%m}",
        since=found.month,
        until=found.until,
        services=[_promise(kept) for kept in found.kept],
        worst=[_minute(bad) for bad in found.worst],
    )


def _promise(kept: Kept) -> PromiseView:
    placed, budget = kept.placed, kept.budget
    return PromiseView(
        project=placed.project,
        service=placed.service,
        environment=placed.environment,
        deployment=placed.deployment.id,
        promise=budget.promise,
        requests=budget.tally.requests,
        failures=budget.tally.failures,
        availability=budget.availability,
        allowed=budget.allowed,
        budget_left=budget.left,
        burning=_burning(kept),
    )


def _burning(kept: Kept) -> BurningView | None:
    if kept.burn is None or kept.told is None:
        return None
    return BurningView(kept.burn.pace, kept.told.since, kept.told.message)


def _minute(bad: BadMinute) -> MinuteView:
    placed = bad.placed
    return MinuteView(
        at=bad.minute.at,
        project=placed.project,
        service=placed.service,
        environment=placed.environment,
        deployment=placed.deployment.id,
        requests=bad.minute.tally.requests,
        failures=bad.minute.tally.failures,
        events=[
            views.event_view(event, placed.environment, placed.service) for event in bad.events
        ],
    )
